#include <torch/nn/modules/conv.h>

#include "compile/random_operators.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace support {

namespace {

using torch::Tensor;

// ---- Views.

RandomOperators reshapes() {
  return {
      elementwise("reshape", [](const Tensor& x) { return x.reshape({x.size(0), -1}); }),
      elementwise("view", [](const Tensor& x) { return x.view({x.size(0), -1}); }),
      elementwise("view of one dimension", [](const Tensor& x) { return x.view(-1); }),
      elementwise("view_as",
                  [](const Tensor& x) { return x.view_as(at::empty({x.size(0), x[0].numel()})); }),
      {"view_as another",
       [](Draw& d) {
         d.floats();
         d.argument([](const Draw::Value& value) { return value.worlds[0].dim() > 1; });
         d.returns([](const Tensors& v) { return v[0].view_as(v[1]); });
       }},
      elementwise(
          "reshape_as",
          [](const Tensor& x) { return x.reshape_as(at::empty({x[0].numel(), x.size(0)})); }),
      {"expand_as another",
       [](Draw& d) {
         d.floats();
         d.expandable();
         d.returns([](const Tensors& v) { return v[1].expand_as(v[0]); });
       }},
      elementwise("expand",
                  [](const Tensor& x) { return x.narrow(0, 0, 1).expand_as(x) * 0.5 + x; }),
      elementwise(
          "expand of a new dimension",
          [](const Tensor& x) { return x.unsqueeze(1).expand({-1, 2, -1, -1, -1}).sum(1); }),
      elementwise("repeat",
                  [](const Tensor& x) { return x.unsqueeze(0).repeat({2, 1, 1, 1, 1})[1]; }),
      on_image("unflatten of width",
               [](const Tensor& x) {
                 return x.narrow(3, 0, x.size(3) / 2 * 2).unflatten(3, {-1, 2}).mean(4);
               }),
      {"unflatten of channels",
       [](Draw& d) {
         d.require(d.image().size(1) % 2 == 0);
         d.returns([](const Tensors& v) { return v[0].unflatten(1, {2, -1}).amax(1); });
       }},
      elementwise("flatten", [](const Tensor& x) { return x.flatten(x.dim() > 2 ? 2 : 0); }),
      {"to an image",
       [](Draw& d) {
         const Tensor x = d.floats();
         d.require(x.dim() < 4);
         const int64_t kind = d.pick(2);
         d.returns([kind](const Tensors& v) {
           const Tensor& x = v[0];
           if (x.dim() == 1) return x.view({1, 1, 1, -1});
           if (x.dim() == 2)
             return kind == 0 ? x.unsqueeze(-1).unsqueeze(-1) : x.view({-1, x.size(1), 1, 1});
           return kind == 0 ? x.unsqueeze(-1) : x.transpose(1, 2).unsqueeze(2);
         });
       }},
      {"as large as an image",
       [](Draw& d) {
         const Tensor image = d.image();
         const Tensor x = d.floats();
         d.require(x.dim() < 4 && x.numel() > 4);
         d.returns([](const Tensors& v) {
           const int64_t count = v[0][0].numel();
           const Tensor flat = v[1].reshape({-1});
           const int64_t times = (count + flat.numel() - 1) / flat.numel();
           return v[0] + flat.repeat({times}).narrow(0, 0, count).view(v[0].sizes().slice(1));
         });
       }},
  };
}

RandomOperators permutations() {
  return {
      {"permute",
       [](Draw& d) {
         d.image();
         const std::vector<std::vector<int64_t>> orders{
             {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 1, 3, 2}, {2, 0, 1, 3}};
         const auto& order = orders[static_cast<std::size_t>(d.pick(4))];
         d.details(c10::str(order));
         d.returns([order](const Tensors& v) { return v[0].permute(order); });
       }},
      {"transpose",
       [](Draw& d) {
         const Tensor x = d.floats();
         d.require(x.dim() > 1);
         const int64_t dim = d.pick(x.dim() - 1);
         d.details(c10::str(dim, " and ", dim + 1));
         d.returns([dim](const Tensors& v) { return v[0].transpose(dim, dim + 1); });
       }},
      elementwise("swapaxes", [](const Tensor& x) { return x.swapaxes(-1, -2); }),
      elementwise("movedim", [](const Tensor& x) { return x.movedim(1, -1); }),
      elementwise("mT", [](const Tensor& x) { return x.mT(); }),
      {"t",
       [](Draw& d) {
         d.floats(2);
         d.returns([](const Tensors& v) { return v[0].t(); });
       }},
      on_image("squeeze", [](const Tensor& x) { return x.narrow(1, 0, 1).squeeze(1); }),
      elementwise("unsqueeze",
                  [](const Tensor& x) { return x.unsqueeze(1).squeeze(1).unsqueeze(0)[0]; }),
      on_image("contiguous in the middle",
               [](const Tensor& x) {
                 return x.permute({0, 2, 3, 1}).contiguous().view({x.size(0), -1, x.size(1)});
               }),
      on_image("tokens and back",
               [](const Tensor& x) {
                 const Tensor tokens = x.flatten(2).transpose(1, 2).contiguous();
                 return (tokens * 0.9).transpose(1, 2).view(x.sizes());
               }),
      on_image("contiguous", [](const Tensor& x) { return x.transpose(2, 3).contiguous(); }),
      on_image("contiguous in channels_last",
               [](const Tensor& x) { return x.contiguous(torch::MemoryFormat::ChannelsLast); }),
      on_image("clone in rows",
               [](const Tensor& x) { return x.clone(torch::MemoryFormat::Contiguous); }),
      elementwise("clone", [](const Tensor& x) { return x.clone(); }),
      elementwise("as_strided",
                  [](const Tensor& x) {
                    const Tensor flat = x.contiguous();
                    return flat.as_strided({flat.numel() - 3, 3}, {1, 1}).mean(1);
                  }),
      elementwise("as_strided in place of view",
                  [](const Tensor& x) {
                    const Tensor y = (x + 0.5).contiguous();
                    return y.as_strided({y.size(0), y[0].numel()}, {y[0].numel(), 1});
                  }),
  };
}

RandomOperators parts() {
  return {
      {"narrow",
       [](Draw& d) {
         const Tensor x = d.floats();
         const int64_t dim = d.pick(x.dim());
         d.require(x.size(dim) > 1);
         const int64_t start = d.pick(2);
         d.details(c10::str("dimension ", dim, " from ", start));
         d.returns(
             [=](const Tensors& v) { return v[0].narrow(dim, start, (v[0].size(dim) + 1) / 2); });
       }},
      {"slice with a step",
       [](Draw& d) {
         const Tensor x = d.floats();
         const int64_t dim = d.pick(x.dim());
         const int64_t step = 2 + d.pick(2);
         d.details(c10::str("dimension ", dim, " step ", step));
         d.returns([=](const Tensors& v) { return v[0].slice(dim, 0, {}, step); });
       }},
      {"select",
       [](Draw& d) {
         const Tensor x = d.floats();
         d.require(x.dim() > 1);
         const int64_t dim = d.pick(x.dim());
         d.details(c10::str("dimension ", dim));
         d.returns([dim](const Tensors& v) { return v[0].select(dim, -1); });
       }},
      {"chunk",
       [](Draw& d) {
         const Tensor x = d.floats();
         const int64_t dim = d.pick(x.dim());
         d.require(x.size(dim) > 1);
         d.details(c10::str("dimension ", dim));
         d.returns([dim](const Tensors& v) { return Tensors(v[0].chunk(2, dim)); });
       }},
      {"split",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         d.require(channels > 2);
         d.returns([channels](const Tensors& v) {
           return Tensors(v[0].split_with_sizes({1, channels - 1}, 1));
         });
       }},
      {"split and cat",
       [](Draw& d) {
         d.require(d.image().size(1) > 1);
         auto conv = d.keep(torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 2, 3).padding(1)));
         d.returns([conv](const Tensors& v) mutable {
           const Tensors parts = v[0].split(1, 1);
           return at::cat({conv(parts.front()), parts.back(), parts.front()}, 1);
         });
       }},
      {"unbind",
       [](Draw& d) {
         d.require(d.image().size(1) > 1);
         d.returns([](const Tensors& v) {
           const Tensors parts = v[0].unbind(1);
           return Tensors{parts.front(), parts.back() + parts.front()};
         });
       }},
      {"unfold that overlaps",
       [](Draw& d) {
         const Tensor x = d.floats();
         const int64_t dim = d.pick(x.dim());
         d.require(x.size(dim) > 3);
         const bool reduced = d.chance(60);
         d.details(c10::str("dimension ", dim));
         d.returns([=](const Tensors& v) {
           const Tensor y = v[0].unfold(dim, 3, 1);
           return reduced ? y.mean(-1) : y;
         });
       }},
      {"patches by unfold",
       [](Draw& d) {
         d.image();
         d.returns([](const Tensors& v) {
           const Tensor y = v[0].unfold(2, 2, 2).unfold(3, 2, 2);
           return y.reshape({y.size(0), y.size(1), -1, 4}).amax(3);
         });
       }},
      elementwise("diagonal", [](const Tensor& x) { return x.diagonal(0, -2, -1); }),
      elementwise(
          "narrow of narrow",
          [](const Tensor& x) { return x.narrow(-1, 1, x.size(-1) - 1).slice(-1, 0, {}, 2); }),
      {"take half of the channels",
       [](Draw& d) {
         d.require(d.image().size(1) > 1);
         d.returns([](const Tensors& v) {
           const auto halves = v[0].chunk(2, 1);
           return halves.front().sigmoid() * halves.back().narrow(1, 0, 1);
         });
       }},
  };
}

// ---- Other types.

/// To another type, something in it, and back.
RandomOperator by_type(const std::string& name, torch::Dtype dtype, bool rounds) {
  return {name, [=](Draw& d) {
            d.floats();
            if (rounds) d.rounds();
            d.returns([dtype](const Tensors& v) {
              const Tensor y = v[0].to(dtype);
              return (y + y).to(torch::kFloat32);
            });
          }};
}

/// To another type, which the value keeps.
RandomOperator to_type(const std::string& name, torch::Dtype dtype, double factor) {
  return {
      name, [=](Draw& d) {
        d.floats();
        d.rounds();
        d.returns([=](const Tensors& v) { return (v[0].abs() * factor).clamp_max(200).to(dtype); });
      }};
}

/// Back from any type.
RandomOperator from_type(const std::string& name, torch::Dtype dtype) {
  return {name, [=](Draw& d) {
            d.of(dtype);
            d.returns([](const Tensors& v) { return v[0].to(torch::kFloat32) * 0.5; });
          }};
}

RandomOperators types() {
  return {
      by_type("to double and back", torch::kDouble, false),
      by_type("to half and back", torch::kHalf, true),
      by_type("to bfloat16 and back", torch::kBFloat16, true),
      to_type("to double", torch::kDouble, 1),
      to_type("to long", torch::kLong, 4),
      to_type("to int", torch::kInt, 9),
      to_type("to uint8", torch::kByte, 50),
      to_type("to half", torch::kHalf, 1),
      from_type("from long", torch::kLong),
      from_type("from double", torch::kDouble),
      from_type("from uint8", torch::kByte),
      from_type("from int", torch::kInt),
      from_type("from bool", torch::kBool),
      from_type("from half", torch::kHalf),
      elementwise("type_as",
                  [](const Tensor& x) { return x.to(torch::kDouble).mul_(0.7).type_as(x); }),
      {"conv2d in double",
       [](Draw& d) {
         const Tensor w = d.weight({4, d.image().size(1), 3, 3}, 0.3);
         d.returns([w](const Tensors& v) {
           return at::conv2d(v[0].to(torch::kDouble), w.to(torch::kDouble), {}, 1, 1).to(v[0]);
         });
       }},
      {"view of another type",
       [](Draw& d) {
         d.floats();
         d.returns([](const Tensors& v) {  // without the bit of the sign
           const Tensor bits = v[0].contiguous().view(torch::kInt);
           return bits.bitwise_and(0x7fffffff).view(torch::kFloat32);
         });
       }},
  };
}

RandomOperators complex_numbers() {
  const auto complex = [](const Draw::Value& value) { return value.worlds[0].is_complex(); };
  return {
      elementwise("view_as_complex",
                  [](const Tensor& x) {
                    const Tensor even = x.narrow(-1, 0, x.size(-1) / 2 * 2).contiguous();
                    return at::view_as_complex(even.unflatten(-1, {-1, 2}));
                  }),
      {"view_as_complex of a view",
       [](Draw& d) {
         d.require(d.image().size(3) % 2 == 0);
         d.returns([](const Tensors& v) {
           return at::view_as_real(at::view_as_complex(v[0].unflatten(3, {-1, 2}))).flatten(3);
         });
       }},
      {"complex",
       [](Draw& d) {
         d.floats();
         d.same_size();
         d.returns([](const Tensors& v) { return at::complex(v[0], v[1]); });
       }},
      {"view_as_real",
       [complex](Draw& d) {
         d.argument(complex);
         d.returns([](const Tensors& v) { return at::view_as_real(v[0].resolve_conj()); });
       }},
      {"real",
       [complex](Draw& d) {
         d.argument(complex);
         d.returns([](const Tensors& v) { return at::real(v[0]); });
       }},
      {"imag",
       [complex](Draw& d) {
         d.argument(complex);
         d.returns([](const Tensors& v) { return at::imag(v[0]); });
       }},
      {"abs of complex",
       [complex](Draw& d) {
         d.argument(complex);
         d.returns([](const Tensors& v) { return v[0].abs(); });
       }},
      {"rotation of pairs",
       [](Draw& d) {
         const Tensor angles = d.constant(at::rand({1}) * 3);
         d.floats();
         d.returns([angles](const Tensors& v) {
           const Tensor even = v[0].narrow(-1, 0, v[0].size(-1) / 2 * 2);
           const Tensor y = at::view_as_complex(even.reshape({v[0].size(0), -1, 2}));
           return at::view_as_real(y * at::polar(at::ones({1}), angles)).flatten(1);
         });
       }},
  };
}

}  // namespace

RandomOperators memory_operators() {
  RandomOperators all = reshapes();
  append(all, permutations());
  append(all, parts());
  append(all, types());
  append(all, complex_numbers());
  return all;
}

}  // namespace support
