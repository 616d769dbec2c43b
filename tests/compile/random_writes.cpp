#include <torch/nn/modules/conv.h>

#include "compile/random_operators.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace support {

namespace {

using at::indexing::Ellipsis;
using at::indexing::Slice;
using torch::Tensor;

/// An operator in place on a tensor of float32 of `dim` dimensions or more.
template <typename F>
RandomOperator in_place(const std::string& name, int64_t dim, F function) {
  return {name, [=](Draw& d) {
            d.writable(dim);
            d.writes([function](const Tensors& v) {
              Tensor x = v[0];
              function(x);
              return x;
            });
          }};
}

RandomOperators activations_in_place() {
  return {
      in_place("relu_", 1, [](Tensor& x) { x.relu_(); }),
      in_place("silu_", 1, [](Tensor& x) { at::silu_(x); }),
      in_place("leaky_relu_", 1, [](Tensor& x) { at::leaky_relu_(x, 0.3); }),
      in_place("hardswish_", 1, [](Tensor& x) { at::hardswish_(x); }),
      in_place("hardtanh_", 1, [](Tensor& x) { at::hardtanh_(x, -1.5, 1.5); }),
      in_place("elu_", 1, [](Tensor& x) { at::elu_(x); }),
      in_place("threshold_", 1, [](Tensor& x) { at::threshold_(x, -0.5, -0.5); }),
      in_place("sigmoid_", 1, [](Tensor& x) { x.sigmoid_(); }),
      in_place("tanh_", 1, [](Tensor& x) { x.tanh_(); }),
      in_place("clamp_", 1, [](Tensor& x) { x.clamp_(-1, 1.5); }),
      in_place("clamp_min_", 1, [](Tensor& x) { x.clamp_min_(-0.6); }),
      in_place("mul_ by a number", 1, [](Tensor& x) { x.mul_(1.3); }),
      in_place("add_ of a number", 1, [](Tensor& x) { x.add_(0.2); }),
      in_place("neg_", 1, [](Tensor& x) { x.neg_(); }),
      in_place("abs_", 1, [](Tensor& x) { x.abs_(); }),
      in_place("exp_", 1, [](Tensor& x) { x.mul_(0.3).exp_(); }),
      {"add_",
       [](Draw& d) {
         d.writable(1);
         d.expandable();
         d.writes([](const Tensors& v) {
           Tensor x = v[0];
           return x.is_alias_of(v[1]) ? x.add_(v[1].clone()) : x.add_(v[1]);
         });
       }},
      {"mul_",
       [](Draw& d) {
         d.writable(1);
         d.expandable();
         d.writes([](const Tensors& v) {
           Tensor x = v[0];
           return x.mul_(v[1].sigmoid());
         });
       }},
      {"sub_ scaled",
       [](Draw& d) {
         d.writable(1);
         d.expandable();
         d.writes([](const Tensors& v) {
           Tensor x = v[0];
           return x.sub_(v[1].tanh(), 0.4);
         });
       }},
      {"copy_",
       [](Draw& d) {
         d.writable(1);
         d.expandable();
         d.writes([](const Tensors& v) {
           Tensor x = v[0];
           return x.copy_(v[1].tanh());
         });
       }},
      {"lerp_",
       [](Draw& d) {
         d.writable(1);
         d.same_size();
         d.writes([](const Tensors& v) {
           Tensor x = v[0];
           return x.lerp_(v[1].tanh(), 0.3);
         });
       }},
  };
}

RandomOperators writes_to_parts() {
  return {
      in_place("mul_ of channels", 2, [](Tensor& x) { x.narrow(1, 0, 1).mul_(0.5); }),
      in_place("write to a slice with a step", 2,
               [](Tensor& x) { x.slice(-1, 1, {}, 2).add_(0.7); }),
      in_place("fill_ of a part", 2, [](Tensor& x) { x.select(-1, 0).fill_(0.4); }),
      in_place("zero_ of a part", 2, [](Tensor& x) { x.select(-1, -1).zero_(); }),
      in_place("relu_ of a view of a view", 2,
               [](Tensor& x) { x.narrow(1, 0, (x.size(1) + 1) / 2).transpose(0, 1).relu_(); }),
      in_place("clamp_ of a reshape", 2,
               [](Tensor& x) { x.reshape({-1, x.size(-1)}).clamp_(-0.9, 0.9); }),
      in_place("clamp_ of a view", 2, [](Tensor& x) { x.view({-1, x.size(-1)}).clamp_(-1, 0.8); }),
      in_place("clamp_max_ of a flatten", 2, [](Tensor& x) { x.flatten(1).clamp_max_(0.7); }),
      in_place("tanh_ of a permutation", 4, [](Tensor& x) { x.permute({0, 2, 3, 1}).tanh_(); }),
      in_place("diagonal set", 2, [](Tensor& x) { x.diagonal(0, -2, -1).fill_(0.3); }),
      in_place("squeeze and write", 4, [](Tensor& x) { x.narrow(1, 0, 1).squeeze(1).sigmoid_(); }),
      in_place("chunk and write", 2,
               [](Tensor& x) {
                 const auto halves = x.chunk(2, 1);
                 halves.back().mul_(halves.front().sum() * 0.01 + 0.5);
               }),
      in_place("split and sigmoid_", 4,
               [](Tensor& x) {
                 const auto parts = x.split(1, 1);
                 Tensor(parts[0]).sigmoid_().mul_(2);
               }),
      in_place("unbind and write", 2, [](Tensor& x) { Tensor(x.unbind(1).back()).mul_(-0.5); }),
      in_place("index_put_ of a slice", 2,
               [](Tensor& x) { x.index_put_({Ellipsis, Slice(0, 2)}, 0.3); }),
      in_place("assign a slice of itself", 2,
               [](Tensor& x) {
                 x.index_put_({Ellipsis, Slice(1, {})},
                              x.index({Ellipsis, Slice(0, -1)}).clone() * 0.8);
               }),
      {"add_ into a slice",
       [](Draw& d) {
         d.writable(2);
         d.same_size();
         d.writes([](const Tensors& v) {
           const Tensor other = v[1].narrow(1, 0, 1).clone();
           v[0].narrow(1, v[0].size(1) - 1, 1).add_(other);
           return v[0];
         });
       }},
      {"copy_ into a slice",
       [](Draw& d) {
         d.writable(2);
         d.same_size();
         d.writes([](const Tensors& v) {
           v[0].narrow(1, 0, 1).copy_(v[1].narrow(1, v[1].size(1) - 1, 1).tanh());
           return v[0];
         });
       }},
  };
}

RandomOperators writes_by_index() {
  return {
      {"masked_fill_",
       [](Draw& d) {
         d.writable(1);
         d.rounds();
         d.writes([](const Tensors& v) {
           Tensor x = v[0];
           return x.masked_fill_(x > 0.9, 0.9);
         });
       }},
      {"masked_fill_ of a part",
       [](Draw& d) {
         d.writable(2);
         d.rounds();
         d.writes([](const Tensors& v) {
           const Tensor part = v[0].narrow(1, 0, 1);
           part.masked_fill_(part < 0, -0.1);
           return v[0];
         });
       }},
      {"scatter_",
       [](Draw& d) {
         const Tensor x = d.writable(2);
         d.writes([](const Tensors& v) {
           const Tensor index = at::zeros(v[0].sizes(), at::kLong).narrow(1, 0, 1);
           Tensor y = v[0];
           return y.scatter_(1, index, 0.25);
         });
       }},
      {"scatter_add_",
       [](Draw& d) {
         d.writable(2);
         d.same_size();
         d.writes([](const Tensors& v) {
           const Tensor index = at::zeros(v[0].sizes(), at::kLong);
           Tensor y = v[0];
           return y.scatter_add_(1, index, v[1].clone() * 0.1);
         });
       }},
      {"index_put_",
       [](Draw& d) {
         d.writable(2);
         d.writes([](const Tensors& v) {
           Tensor x = v[0];
           return x.index_put_({at::tensor({0, -1})}, at::scalar_tensor(0.2F), true);
         });
       }},
      {"index_fill_",
       [](Draw& d) {
         d.writable(2);
         d.writes([](const Tensors& v) {
           Tensor x = v[0];
           return x.index_fill_(-1, at::tensor({1, 3}), 0.1);
         });
       }},
      {"index_add_",
       [](Draw& d) {
         d.writable(2);
         d.writes([](const Tensors& v) {
           Tensor x = v[0];
           return x.index_add_(-1, at::tensor({0, 2}), x.narrow(-1, 0, 2).clone(), 0.5);
         });
       }},
      {"write through new memory",
       [](Draw& d) {
         d.image();
         d.returns([](const Tensors& v) {
           const Tensor y = at::zeros_like(v[0]);
           y.narrow(1, 0, 1).copy_(v[0].narrow(1, 0, 1));
           y.select(1, v[0].size(1) - 1).add_(v[0].mean(1));
           return y;
         });
       }},
      {"empty and copy_",
       [](Draw& d) {
         d.image();
         d.returns([](const Tensors& v) {
           Tensor y = at::empty({v[0].size(0), v[0].size(1), v[0].size(2) + 1, v[0].size(3)});
           y.slice(2, 1).copy_(v[0]);
           y.select(2, 0).fill_(0.5);
           return y;
         });
       }},
  };
}

/// As users write them; most failed once.
RandomOperators idioms() {
  return {
      {"conv2d and clamp_ of a reshape",
       [](Draw& d) {
         auto conv = d.keep(torch::nn::Conv2d(torch::nn::Conv2dOptions(d.image().size(1), 5, 3)));
         d.returns([conv](const Tensors& v) mutable {
           const Tensor y = conv(v[0]).permute({0, 2, 3, 1}).contiguous() + 0.1;
           y.reshape({-1, 5}).clamp_(-0.6, 0.6);
           return y * 2;
         });
       }},
      {"conv2d, transposed, and clamp_max_ of a flatten",
       [](Draw& d) {
         auto conv = d.keep(torch::nn::Conv2d(torch::nn::Conv2dOptions(d.image().size(1), 4, 3)));
         d.returns([conv](const Tensors& v) mutable {
           const Tensor y = at::abs(conv(v[0]).transpose(2, 3).contiguous());
           y.flatten(1).clamp_max_(0.5);
           return y + 0;
         });
       }},
      {"conv2d, mul_ of a part, and view",
       [](Draw& d) {
         auto conv = d.keep(torch::nn::Conv2d(torch::nn::Conv2dOptions(d.image().size(1), 4, 3)));
         d.returns([conv](const Tensors& v) mutable {
           const Tensor s = conv(v[0]).transpose(2, 3).contiguous() * 1.5;
           s.narrow(1, 0, 2).mul_(2);
           return s.view({s.size(0), -1});
         });
       }},
      {"detection head",
       [](Draw& d) {
         auto conv = d.keep(torch::nn::Conv2d(torch::nn::Conv2dOptions(d.image().size(1), 14, 1)));
         d.returns([conv](const Tensors& v) mutable {
           const Tensor y = conv(v[0]);
           const Tensor boxes = y.view({y.size(0), 2, 7, y.size(2), y.size(3)})
                                    .permute({0, 1, 3, 4, 2})
                                    .contiguous()
                                    .sigmoid();
           boxes.slice(4, 0, 2).mul_(2).sub_(0.5);
           boxes.slice(4, 2, 4).copy_((boxes.slice(4, 2, 4) * 2).pow(2));
           return boxes.view({y.size(0), -1, 7});
         });
       }},
      {"cat with an empty piece, and conv2d",
       [](Draw& d) {
         auto conv = d.keep(torch::nn::Conv2d(torch::nn::Conv2dOptions(d.image().size(1), 4, 1)));
         d.returns([conv](const Tensors& v) mutable {
           return conv(at::cat({v[0], v[0].narrow(1, 0, 0)}, 1));
         });
       }},
      {"conv2d and view_as",
       [](Draw& d) {
         auto conv = d.keep(torch::nn::Conv2d(torch::nn::Conv2dOptions(d.image().size(1), 4, 1)));
         d.returns([conv](const Tensors& v) mutable {
           const Tensor y = conv(v[0]);
           return y.view_as(at::zeros({y.size(0), y[0].numel()}));
         });
       }},
      {"conv2d and reshape_as of an empty tensor",
       [](Draw& d) {
         auto conv = d.keep(torch::nn::Conv2d(torch::nn::Conv2dOptions(d.image().size(1), 4, 1)));
         d.returns([conv](const Tensors& v) mutable {
           const Tensor y = conv(v[0]);
           const Tensor row = y.reshape_as(at::empty({y.size(0), 4, y.size(2) * y.size(3)}));
           return row + row.mean(2, true).expand_as(at::empty_like(row));
         });
       }},
      {"padded windows written in place",
       [](Draw& d) {
         auto conv = d.keep(torch::nn::Conv2d(torch::nn::Conv2dOptions(d.image().size(1), 4, 3)));
         d.returns([conv](const Tensors& v) mutable {
           const Tensor y = conv(v[0]);
           Tensor canvas = at::zeros({y.size(0), 4, y.size(2) + 2, y.size(3) + 2});
           canvas.index_put_({Slice(), Slice(), Slice(1, -1), Slice(1, -1)}, y);
           return at::max_pool2d(canvas, {2, 2});
         });
       }},
  };
}

}  // namespace

RandomOperators write_operators() {
  RandomOperators all = activations_in_place();
  append(all, writes_to_parts());
  append(all, writes_by_index());
  append(all, idioms());
  return all;
}

}  // namespace support
