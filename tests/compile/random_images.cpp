#include <torch/nn/functional/padding.h>
#include <torch/nn/functional/pooling.h>

#include "compile/random_operators.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace support {

namespace {

using torch::Tensor;
namespace F = torch::nn::functional;

// ---- Poolings.

struct Window {
  std::vector<int64_t> kernel;
  std::vector<int64_t> stride;
  std::vector<int64_t> padding;
  std::vector<int64_t> dilation;
  bool ceil = false;
};

Window drawn_window(Draw& d) {
  Window w;
  w.kernel = {d.among({2, 3, 3}), d.among({1, 2, 3})};
  w.stride = {d.among({1, 2, 2}), d.among({1, 2, 3})};
  w.padding = {d.pick(w.kernel[0] / 2 + 1), d.pick(w.kernel[1] / 2 + 1)};
  w.dilation = d.chance(15) ? std::vector<int64_t>{2, 1} : std::vector<int64_t>{1, 1};
  w.ceil = d.chance(35);
  d.details(c10::str(w.kernel, " stride ", w.stride, " padding ", w.padding, " dilation ",
                     w.dilation, w.ceil ? " ceil" : ""));
  return w;
}

RandomOperators poolings() {
  return {
      {"max_pool2d",
       [](Draw& d) {
         d.image();
         const Window w = drawn_window(d);
         d.returns([w](const Tensors& v) {
           return at::max_pool2d(v[0], w.kernel, w.stride, w.padding, w.dilation, w.ceil);
         });
       }},
      {"max_pool2d_with_indices",
       [](Draw& d) {
         d.image();
         d.rounds();
         const Window w = drawn_window(d);
         d.returns([w](const Tensors& v) {
           auto [y, indices] =
               at::max_pool2d_with_indices(v[0], w.kernel, w.stride, w.padding, w.dilation, w.ceil);
           return Tensors{y, indices};
         });
       }},
      {"max_unpool2d",
       [](Draw& d) {
         d.image();
         d.rounds();
         d.returns([](const Tensors& v) {
           auto [y, indices] = at::max_pool2d_with_indices(v[0], {2, 2});
           return at::max_unpool2d(y.tanh(), indices, v[0].sizes().slice(2));
         });
       }},
      {"avg_pool2d",
       [](Draw& d) {
         d.image();
         const Window w = drawn_window(d);
         const bool counts = d.chance(60);
         const std::optional<int64_t> divisor =
             d.chance(15) ? std::optional<int64_t>(3) : std::nullopt;
         d.returns([=](const Tensors& v) {
           return at::avg_pool2d(v[0], w.kernel, w.stride, w.padding, w.ceil, counts, divisor);
         });
       }},
      {"adaptive_avg_pool2d",
       [](Draw& d) {
         d.image();
         const std::vector<int64_t> size{d.among({1, 1, 2, 3, 5}), d.among({1, 1, 2, 4})};
         d.details(c10::str("to ", size));
         d.returns([size](const Tensors& v) { return at::adaptive_avg_pool2d(v[0], size); });
       }},
      {"adaptive_max_pool2d",
       [](Draw& d) {
         d.image();
         d.returns(
             [](const Tensors& v) { return std::get<0>(at::adaptive_max_pool2d(v[0], {3, 2})); });
       }},
      on_image("lp_pool2d",
               [](const Tensor& x) {
                 return F::lp_pool2d(x.abs() + 0.1, F::LPPool2dFuncOptions(2, 2).stride(1));
               }),
      {"max_pool1d",
       [](Draw& d) {
         d.floats(3);
         const bool ceil = d.chance(50);
         d.returns(
             [ceil](const Tensors& v) { return at::max_pool1d(v[0], {3}, {2}, {1}, {1}, ceil); });
       }},
      {"avg_pool1d",
       [](Draw& d) {
         d.floats(3);
         d.returns([](const Tensors& v) { return at::avg_pool1d(v[0], {2}, {1}, {1}); });
       }},
      on_image("max_pool3d",
               [](const Tensor& x) {
                 return at::max_pool3d(x.unsqueeze(1), {2, 2, 2}, {1, 1, 1}).squeeze(1);
               }),
      on_image("avg_pool3d",
               [](const Tensor& x) {
                 return at::avg_pool3d(x.unsqueeze(1), {1, 2, 3}, {1, 1, 2}).squeeze(1);
               }),
      on_image("adaptive_avg_pool1d",
               [](const Tensor& x) { return at::adaptive_avg_pool1d(x.flatten(2), 6); }),
      on_image("spatial pyramid",
               [](const Tensor& x) {
                 const Tensor one = at::max_pool2d(x, {3, 3}, {1, 1}, {1, 1});
                 const Tensor two = at::max_pool2d(one, {3, 3}, {1, 1}, {1, 1});
                 return at::cat({x, one, two}, 1);
               }),
  };
}

// ---- Paddings.

RandomOperators paddings() {
  return {
      {"constant_pad_nd",
       [](Draw& d) {
         d.image();
         const std::vector<int64_t> pad{d.pick(3), d.pick(3), d.pick(2), d.pick(4)};
         const double value = d.chance(50) ? 0 : -0.5;
         d.details(c10::str(pad, " by ", value));
         d.returns([=](const Tensors& v) { return at::constant_pad_nd(v[0], pad, value); });
       }},
      {"pad and conv2d",
       [](Draw& d) {
         const Tensor w = d.weight({5, d.image().size(1), 4, 3}, 0.3);
         d.returns([w](const Tensors& v) {
           return at::conv2d(at::constant_pad_nd(v[0], {1, 1, 1, 2}), w);
         });
       }},
      {"pad and max_pool2d",
       [](Draw& d) {
         d.image();
         d.returns([](const Tensors& v) {
           return at::max_pool2d(at::constant_pad_nd(v[0], {0, 1, 0, 1}), {3, 3}, {2, 2});
         });
       }},
      on_image("crop by padding",
               [](const Tensor& x) { return at::constant_pad_nd(x, {-1, 0, -1, -1}); }),
      on_image("pad of channels",
               [](const Tensor& x) { return at::constant_pad_nd(x, {0, 0, 0, 0, 1, 2}); }),
      on_image("reflection_pad2d",
               [](const Tensor& x) { return at::reflection_pad2d(x, {1, 2, 1, 0}); }),
      on_image("replication_pad2d",
               [](const Tensor& x) { return at::replication_pad2d(x, {2, 0, 1, 1}); }),
      on_image("circular pad",
               [](const Tensor& x) { return at::pad(x, {1, 1, 2, 0}, "circular"); }),
      on_image("pad by functional",
               [](const Tensor& x) {
                 return F::pad(x, F::PadFuncOptions({1, 1, 1, 1}).mode(torch::kReflect));
               }),
      {"reflection_pad1d",
       [](Draw& d) {
         d.floats(3);
         d.returns([](const Tensors& v) { return at::reflection_pad1d(v[0], {1, 2}); });
       }},
  };
}

// ---- Resampling.

std::vector<int64_t> scaled(const Tensor& x, double height, double width) {
  const auto times = [](int64_t size, double factor) {
    return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(size) * factor));
  };
  return {times(x.size(2), height), times(x.size(3), width)};
}

/// To a size, or by a factor.
template <typename F1>
RandomOperator resampling(const std::string& name, F1 function) {
  return {
      name, [function](Draw& d) {
        d.image();
        const double height = 0.5 * static_cast<double>(1 + d.pick(4));
        const double width = d.chance(60) ? height : 1.3;
        d.details(c10::str(height, " by ", width));
        d.returns([=](const Tensors& v) { return function(v[0], scaled(v[0], height, width)); });
      }};
}

/// Samples an image at places that a small network chooses.
Tensor sampled(const Tensor& x, const Tensor& theta, int64_t mode, int64_t padding, bool corners) {
  const Tensor grid = at::affine_grid_generator(theta, x.sizes(), corners);
  return at::grid_sampler_2d(x, grid, mode, padding, corners);
}

RandomOperators resamplings() {
  using Size = std::vector<int64_t>;
  return {
      resampling("upsample_nearest2d",
                 [](const Tensor& x, const Size& s) { return at::upsample_nearest2d(x, s); }),
      resampling(
          "upsample_nearest_exact2d",
          [](const Tensor& x, const Size& s) { return at::_upsample_nearest_exact2d(x, s); }),
      resampling(
          "upsample_bilinear2d",
          [](const Tensor& x, const Size& s) { return at::upsample_bilinear2d(x, s, false); }),
      resampling(
          "upsample_bilinear2d of corners",
          [](const Tensor& x, const Size& s) { return at::upsample_bilinear2d(x, s, true); }),
      resampling(
          "upsample_bicubic2d",
          [](const Tensor& x, const Size& s) { return at::upsample_bicubic2d(x, s, false); }),
      resampling(
          "upsample_bilinear2d antialiased",
          [](const Tensor& x, const Size& s) { return at::_upsample_bilinear2d_aa(x, s, false); }),
      resampling(
          "upsample_bicubic2d antialiased",
          [](const Tensor& x, const Size& s) { return at::_upsample_bicubic2d_aa(x, s, false); }),
      on_image("upsample_nearest2d by a factor",
               [](const Tensor& x) {
                 return at::upsample_nearest2d(x, at::OptionalIntArrayRef(), {{2.0, 1.5}});
               }),
      on_image("upsample_bilinear2d by a factor",
               [](const Tensor& x) {
                 return at::upsample_bilinear2d(x, at::OptionalIntArrayRef(), false, {{1.6, 1.6}});
               }),
      {"upsample_linear1d",
       [](Draw& d) {
         d.floats(3);
         d.returns([](const Tensors& v) {
           return at::upsample_linear1d(v[0], {v[0].size(2) + 3}, false);
         });
       }},
      {"resample to the size of another",
       [](Draw& d) {
         d.image();
         d.image();
         d.returns([](const Tensors& v) {
           return at::upsample_bilinear2d(v[0], v[1].sizes().slice(2), false);
         });
       }},
      {"grid_sampler_2d",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         const Tensor w = d.weight({channels, 6}, 0.1);
         const Tensor base = d.constant(at::tensor({1.0F, 0.1F, 0.0F, -0.1F, 0.9F, 0.1F}));
         const int64_t padding = d.pick(3);
         const bool corners = d.chance(50);
         d.returns([=](const Tensors& v) {
           const Tensor theta = (v[0].mean({2, 3}).matmul(w) + base).view({-1, 2, 3});
           return sampled(v[0], theta, 0, padding, corners);
         });
       }},
      {"grid_sampler_2d of a fixed grid",
       [](Draw& d) {
         d.image();
         const Tensor theta =
             d.constant(at::tensor({0.9F, 0.1F, 0.05F, -0.2F, 0.8F, 0.1F}).view({1, 2, 3}));
         const int64_t mode = d.among({0, 2});
         d.returns([=](const Tensors& v) {
           return sampled(v[0], theta.expand({v[0].size(0), 2, 3}), mode, 0, false);
         });
       }},
      {"affine_grid_generator",
       [](Draw& d) {
         const Tensor w = d.weight({d.floats(2).size(1), 6}, 0.3);
         d.returns([w](const Tensors& v) {
           const Tensor theta = v[0].matmul(w).view({-1, 2, 3});
           return at::affine_grid_generator(theta, {theta.size(0), 1, 5, 6}, false);
         });
       }},
  };
}

// ---- What rearranges an image.

RandomOperators rearrangements() {
  return {
      {"pixel_shuffle",
       [](Draw& d) {
         d.require(d.image().size(1) % 4 == 0);
         d.returns([](const Tensors& v) { return at::pixel_shuffle(v[0], 2); });
       }},
      on_image("pixel_unshuffle",
               [](const Tensor& x) {
                 const Tensor even =
                     x.slice(2, 0, x.size(2) / 2 * 2).slice(3, 0, x.size(3) / 2 * 2);
                 return at::pixel_unshuffle(even, 2);
               }),
      {"channel_shuffle",
       [](Draw& d) {
         const int64_t groups = d.divisor(d.image().size(1), 4);
         d.returns([groups](const Tensors& v) { return at::channel_shuffle(v[0], groups); });
       }},
      {"channel shuffle by hand",
       [](Draw& d) {
         d.require(d.image().size(1) % 2 == 0);
         const bool view = d.chance(50);
         d.returns([view](const Tensors& v) {
           const Tensor& x = v[0];
           const int64_t half = x.size(1) / 2;
           const std::vector<int64_t> apart{x.size(0), 2, half, x.size(2), x.size(3)};
           const Tensor y = (view ? x.view(apart) : x.reshape(apart)).transpose(1, 2);
           return view ? y.contiguous().view(x.sizes()) : y.reshape(x.sizes());
         });
       }},
      on_image("im2col",
               [](const Tensor& x) { return at::im2col(x, {2, 3}, {1, 1}, {0, 1}, {2, 1}); }),
      on_image("im2col and col2im",
               [](const Tensor& x) {
                 const Tensor columns = at::im2col(x, {3, 3}, {1, 1}, {1, 1}, {1, 1});
                 return at::col2im(columns.tanh(), x.sizes().slice(2), {3, 3}, {1, 1}, {1, 1},
                                   {1, 1});
               }),
      {"roll",
       [](Draw& d) {
         d.image();
         const int64_t shift = d.among({-2, -1, 1, 3});
         d.returns([shift](const Tensors& v) { return v[0].roll({shift, 1}, {2, 3}); });
       }},
      {"flip",
       [](Draw& d) {
         const Tensor x = d.floats();
         const int64_t dim = d.pick(x.dim());
         d.details(c10::str("dimension ", dim));
         d.returns([dim](const Tensors& v) { return v[0].flip({dim}); });
       }},
      on_image("rot90", [](const Tensor& x) { return at::rot90(x, 1, {2, 3}); }),
      on_image("tril", [](const Tensor& x) { return x.tril(1); }),
      on_image("triu", [](const Tensor& x) { return x.triu(-1); }),
      on_image("windows",
               [](const Tensor& x) {
                 const int64_t height = x.size(2) / 2;
                 const int64_t width = x.size(3) / 2;
                 const Tensor y = x.slice(2, 0, 2 * height).slice(3, 0, 2 * width);
                 return y.reshape({x.size(0), x.size(1), 2, height, 2, width})
                     .permute({0, 2, 4, 3, 5, 1})
                     .reshape({-1, height * width, x.size(1)});
               }),
      on_image("focus",
               [](const Tensor& x) {
                 const Tensor even =
                     x.slice(2, 0, x.size(2) / 2 * 2).slice(3, 0, x.size(3) / 2 * 2);
                 Tensors parts;
                 for (const int64_t row : {0, 1}) {
                   for (const int64_t column : {0, 1}) {
                     parts.push_back(even.slice(2, row, {}, 2).slice(3, column, {}, 2));
                   }
                 }
                 return at::cat(parts, 1);
               }),
      on_image("coordinates",
               [](const Tensor& x) {
                 const Tensor rows = at::linspace(-1, 1, x.size(2)).view({1, 1, -1, 1});
                 const Tensor columns = at::linspace(-1, 1, x.size(3)).view({1, 1, 1, -1});
                 const std::vector<int64_t> size{x.size(0), 1, x.size(2), x.size(3)};
                 return at::cat({x, rows.expand(size), columns.expand(size)}, 1);
               }),
  };
}

}  // namespace

RandomOperators image_operators() {
  RandomOperators all = poolings();
  append(all, paddings());
  append(all, resamplings());
  append(all, rearrangements());
  return all;
}

}  // namespace support
