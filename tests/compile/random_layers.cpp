#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/modules/rnn.h>

#include "compile/random_operators.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace support {

namespace {

using torch::Tensor;

// ---- Convolutions.

torch::nn::Conv2dOptions drawn_convolution(Draw& d, const Tensor& x) {
  const int64_t channels = x.size(1);
  const int64_t groups = d.chance(20) ? d.divisor(channels, 4) : 1;
  const int64_t out = groups * (1 + d.pick(16 / groups));
  const int64_t kernel_h = d.among({1, 1, 2, 3, 3, 3, 5});
  const int64_t kernel_w = d.chance(70) ? kernel_h : d.among({1, 2, 3, 4, 7});
  torch::nn::Conv2dOptions options(channels, out, {kernel_h, kernel_w});
  options.groups(groups).bias(d.chance(60));
  options.stride({d.among({1, 1, 1, 2, 3}), d.among({1, 1, 1, 2})});
  options.padding(torch::ExpandingArray<2>({d.pick(kernel_h + 1), kernel_w / 2}));
  if (d.chance(15)) options.dilation({1 + d.pick(2), 1 + d.pick(3)});
  d.details(c10::str(kernel_h, "x", kernel_w, " of ", channels, " to ", out, " groups ", groups));
  return options;
}

torch::nn::Conv2d pointwise(Draw& d, int64_t in, int64_t out) {
  return d.keep(torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 1)));
}

RandomOperators convolutions() {
  return {
      {"conv2d",
       [](Draw& d) {
         auto conv = d.keep(torch::nn::Conv2d(drawn_convolution(d, d.image())));
         d.returns([conv](const Tensors& v) mutable { return conv(v[0]); });
       }},
      {"conv2d, batch_norm, activation",
       [](Draw& d) {
         auto conv = d.keep(torch::nn::Conv2d(drawn_convolution(d, d.image())));
         auto norm = d.keep(torch::nn::BatchNorm2d(conv->options.out_channels()));
         const bool in_place = d.chance(50);
         const int64_t kind = d.pick(4);
         d.returns([=](const Tensors& v) mutable {
           Tensor y = norm(conv(v[0]));
           if (kind == 0) return in_place ? y.relu_() : y.relu();
           if (kind == 1) return in_place ? at::silu_(y) : at::silu(y);
           return kind == 2 ? at::hardswish(y) : at::leaky_relu(y, 0.1);
         });
       }},
      {"conv2d and add",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         d.same_size();
         auto conv = d.keep(torch::nn::Conv2d(
             torch::nn::Conv2dOptions(channels, channels, 3).padding(1).bias(d.chance(50))));
         const int64_t kind = d.pick(4);
         d.returns([=](const Tensors& v) mutable {
           Tensor y = conv(v[0]);
           if (kind == 0) return (y + v[1]).relu_();
           if (kind == 1) return y.add_(v[1]);
           return kind == 2 ? v[1] + y.sigmoid() : at::add(v[1], y, 0.3);
         });
       }},
      {"conv2d same",
       [](Draw& d) {
         const Tensor x = d.image();
         const int64_t kernel = d.among({2, 3, 4, 5});
         const Tensor w = d.weight({4, x.size(1), kernel, 3}, 0.3);
         d.details(c10::str("kernel ", kernel, "x3"));
         d.returns([w](const Tensors& v) {
           return at::conv2d(v[0], w, {}, at::IntArrayRef{1, 1}, "same");
         });
       }},
      {"conv2d depthwise",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         const int64_t stride = 1 + d.pick(2);
         auto first = pointwise(d, channels, 2 * channels);
         auto conv = d.keep(torch::nn::Conv2d(
             torch::nn::Conv2dOptions(2 * channels, 2 * channels * d.among({1, 1, 2}), 3)
                 .groups(2 * channels)
                 .padding(1)
                 .stride(stride)));
         d.returns([=](const Tensors& v) mutable { return conv(at::relu6(first(v[0]))); });
       }},
      {"conv2d twice",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         auto conv =
             d.keep(torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, channels, 3).padding(1)));
         d.returns([conv](const Tensors& v) mutable { return conv(conv(v[0]).tanh()); });
       }},
      {"conv2d of shared weights",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         const Tensor w = d.weight({6, channels, 3, 3}, 0.3);
         d.returns([w](const Tensors& v) {
           const Tensor y = at::conv2d(v[0], w, {}, 1, 1).relu();
           return at::conv_transpose2d(y, w, {}, 1, 1);
         });
       }},
      {"conv2d of standardised weights",
       [](Draw& d) {
         const Tensor w = d.weight({5, d.image().size(1), 3, 3});
         d.returns([w](const Tensors& v) {
           const Tensor centred = w - w.mean({1, 2, 3}, true);
           const Tensor scaled = centred / (centred.std({1, 2, 3}, true, true) * 5 + 1e-5);
           return at::conv2d(v[0], scaled, {}, 1, 1);
         });
       }},
  };
}

/// What few networks have.
RandomOperators rare_convolutions() {
  return {
      {"conv2d of dynamic weights",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         auto linear = d.keep(torch::nn::Linear(channels, channels * 9));
         d.returns([=](const Tensors& v) mutable {
           const Tensor w = linear(v[0].mean({2, 3})).view({v[0].size(0) * channels, 1, 3, 3});
           const Tensor x = v[0].reshape({1, -1, v[0].size(2), v[0].size(3)});
           return at::conv2d(x, w, {}, 1, 1, 1, x.size(1)).view(v[0].sizes());
         });
       }},
      {"conv2d of a mask",
       [](Draw& d) {
         const Tensor w = d.weight({1, 1, 3, 3}, 0.2);
         d.image();
         d.returns([w](const Tensors& v) {
           const Tensor ones = at::ones({1, 1, v[0].size(2), v[0].size(3)});
           return v[0] * at::conv2d(ones, w, {}, 1, 1);
         });
       }},
      {"conv3d",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         auto conv = d.keep(torch::nn::Conv3d(
             torch::nn::Conv3dOptions(channels, 2, {1, 3, 3}).padding({0, 1, 1})));
         d.returns([conv](const Tensors& v) mutable { return conv(v[0].unsqueeze(2)).squeeze(2); });
       }},
  };
}

RandomOperators other_convolutions() {
  return {
      {"conv_transpose2d",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         const int64_t groups = d.chance(30) ? d.divisor(channels, 4) : 1;
         const int64_t kernel = d.among({2, 3, 4});
         const int64_t stride = d.among({1, 2, 2, 3});
         torch::nn::ConvTranspose2dOptions options(channels, groups * (1 + d.pick(4)), kernel);
         options.groups(groups).stride(stride).padding(d.pick(2)).output_padding(d.pick(stride));
         if (d.chance(15)) options.dilation(2);
         auto conv = d.keep(torch::nn::ConvTranspose2d(options));
         d.details(c10::str(kernel, "x", kernel, " stride ", stride, " groups ", groups));
         d.returns([conv](const Tensors& v) mutable { return conv(v[0]); });
       }},
      {"conv1d",
       [](Draw& d) {
         const int64_t channels = d.floats(3).size(1);
         const int64_t kernel = d.among({1, 3, 4, 7});
         auto conv = d.keep(torch::nn::Conv1d(torch::nn::Conv1dOptions(channels, 6, kernel)
                                                  .padding(kernel / 2)
                                                  .stride(1 + d.pick(2))
                                                  .dilation(1 + d.pick(2))));
         d.details(c10::str("kernel ", kernel));
         d.returns([conv](const Tensors& v) mutable { return conv(v[0]); });
       }},
      {"conv1d of a flat image",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         auto conv = d.keep(torch::nn::Conv1d(torch::nn::Conv1dOptions(channels, 4, 5).padding(2)));
         d.returns([conv](const Tensors& v) mutable { return conv(v[0].flatten(2)); });
       }},
      {"conv2d of a column",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         auto conv = d.keep(torch::nn::Conv2d(
             torch::nn::Conv2dOptions(channels, 8, {16, 1}).padding({8, 0}).stride({2, 1})));
         d.returns([conv](const Tensors& v) mutable {
           return conv(v[0].flatten(2).unsqueeze(-1)).relu();
         });
       }},
      {"conv_transpose1d",
       [](Draw& d) {
         const int64_t channels = d.floats(3).size(1);
         auto conv = d.keep(torch::nn::ConvTranspose1d(
             torch::nn::ConvTranspose1dOptions(channels, 3, 3).stride(1 + d.pick(2))));
         d.returns([conv](const Tensors& v) mutable { return conv(v[0]); });
       }},
      {"convolution",
       [](Draw& d) {
         const Tensor w = d.weight({3, d.image().size(1), 3, 2}, 0.3);
         d.returns([w](const Tensors& v) {
           return at::convolution(v[0], w, {}, {2, 1}, {1, 1}, {1, 1}, false, {0, 0}, 1);
         });
       }},
  };
}

// ---- Matrix products.

RandomOperators linear_layers() {
  return {
      {"linear",
       [](Draw& d) {
         const Tensor x = d.floats();
         const int64_t out = 1 + d.pick(16);
         auto linear = d.keep(
             torch::nn::Linear(torch::nn::LinearOptions(x.size(-1), out).bias(d.chance(70))));
         const bool active = d.chance(50);
         d.details(c10::str(x.size(-1), " to ", out, active ? ", gelu" : ""));
         d.returns([=](const Tensors& v) mutable {
           return active ? at::gelu(linear(v[0])) : linear(v[0]);
         });
       }},
      {"linear of channels",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         auto linear = d.keep(torch::nn::Linear(channels, 1 + d.pick(12)));
         d.returns([linear](const Tensors& v) mutable {
           return linear(v[0].permute({0, 2, 3, 1})).permute({0, 3, 1, 2});
         });
       }},
      {"mlp of channels",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         auto norm = d.keep(torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels})));
         auto first = d.keep(torch::nn::Linear(channels, 2 * channels));
         auto second = d.keep(torch::nn::Linear(2 * channels, channels));
         const Tensor gamma = d.weight({channels}, 0.5);
         d.returns([=](const Tensors& v) mutable {
           const Tensor y = norm(v[0].permute({0, 2, 3, 1}));
           return v[0] + (gamma * second(at::gelu(first(y)))).permute({0, 3, 1, 2});
         });
       }},
      {"linear of a flat image",
       [](Draw& d) {
         const Tensor x = d.image();
         const int64_t height = 1 + d.pick(3);
         auto linear = d.keep(torch::nn::Linear(x.size(1) * height * 2, 7));
         const bool view = d.chance(50);
         d.returns([=](const Tensors& v) mutable {
           const Tensor y = at::adaptive_avg_pool2d(v[0], {height, 2});
           return linear(view ? y.view({y.size(0), -1}) : y.flatten(1));
         });
       }},
      {"bilinear",
       [](Draw& d) {
         const int64_t last = d.floats().size(-1);
         d.same_size();
         const Tensor w = d.weight({3, last, last}, 0.3);
         d.returns([w](const Tensors& v) { return at::bilinear(v[0], v[1], w, {}); });
       }},
      {"matmul by a weight",
       [](Draw& d) {
         const Tensor w = d.weight({d.floats().size(-1), 1 + d.pick(9)}, 0.4);
         d.returns([w](const Tensors& v) { return at::matmul(v[0], w); });
       }},
      {"addmm",
       [](Draw& d) {
         const Tensor w = d.weight({d.floats(2).size(1), 6}, 0.4);
         const Tensor bias = d.weight({6});
         const double alpha = d.chance(50) ? 1 : 0.5;
         d.returns([=](const Tensors& v) { return at::addmm(bias, v[0], w, 1, alpha); });
       }},
      {"mm",
       [](Draw& d) {
         d.floats(2);
         d.returns([](const Tensors& v) { return at::mm(v[0], v[0].t()) * 0.2; });
       }},
      {"mv",
       [](Draw& d) {
         const Tensor w = d.weight({d.floats(2).size(1)}, 0.5);
         d.returns([w](const Tensors& v) { return at::mv(v[0], w); });
       }},
  };
}

RandomOperators products() {
  return {
      {"bmm",
       [](Draw& d) {
         d.floats(3);
         d.returns([](const Tensors& v) { return at::bmm(v[0], v[0].transpose(1, 2)) * 0.1; });
       }},
      {"baddbmm",
       [](Draw& d) {
         d.floats(3);
         d.same_size();
         d.returns([](const Tensors& v) {
           const Tensor square = at::bmm(v[0].mT(), v[0]);
           return at::baddbmm(v[1], v[1], square, 1, 0.05);
         });
       }},
      on_image("matmul of images",
               [](const Tensor& x) { return at::matmul(x, x.transpose(2, 3)) * 0.2; }),
      on_image("einsum of channels",
               [](const Tensor& x) { return at::einsum("nchw,ndhw->ncd", {x, x}) * 0.05; }),
      {"einsum by a weight",
       [](Draw& d) {
         const Tensor w = d.weight({5, d.image().size(1)}, 0.4);
         d.returns([w](const Tensors& v) { return at::einsum("nchw,kc->nkhw", {v[0], w}); });
       }},
      {"tensordot",
       [](Draw& d) {
         const Tensor w = d.weight({d.image().size(1), 4}, 0.4);
         d.returns([w](const Tensors& v) { return at::tensordot(v[0], w, {1}, {0}); });
       }},
      on_image("gram matrix",
               [](const Tensor& x) {
                 const Tensor rows = x.reshape({x.size(0), x.size(1), -1});
                 return rows.matmul(rows.transpose(1, 2)).div(static_cast<double>(rows.size(2)));
               }),
      on_image("scaled_dot_product_attention",
               [](const Tensor& x) { return at::scaled_dot_product_attention(x, x.tanh(), x); }),
      {"self-attention of positions",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         auto query = pointwise(d, channels, 4);
         auto key = pointwise(d, channels, 4);
         auto value = pointwise(d, channels, channels);
         d.returns([=](const Tensors& v) mutable {
           const Tensor weights = query(v[0]).flatten(2).transpose(1, 2).bmm(key(v[0]).flatten(2));
           const Tensor y = at::bmm(value(v[0]).flatten(2), weights.softmax(-1).transpose(1, 2));
           return y.view(v[0].sizes()) + v[0];
         });
       }},
      {"multi-head attention",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         d.require(channels % 2 == 0);
         auto together = d.keep(torch::nn::Linear(channels, 3 * channels));
         d.returns([=](const Tensors& v) mutable {
           const Tensor tokens = v[0].flatten(2).transpose(1, 2);
           const Tensor all = together(tokens).reshape({v[0].size(0), -1, 3, 2, channels / 2});
           const auto parts = all.permute({2, 0, 3, 1, 4}).unbind(0);
           const Tensor y = at::scaled_dot_product_attention(parts[0], parts[1], parts[2]);
           return y.transpose(1, 2).reshape(tokens.sizes());
         });
       }},
      {"gru",
       [](Draw& d) {
         auto gru = d.keep(
             torch::nn::GRU(torch::nn::GRUOptions(d.floats(3).size(2), 5).batch_first(true)));
         d.returns([gru](const Tensors& v) mutable { return std::get<0>(gru(v[0])); });
       }},
      {"cdist",
       [](Draw& d) {
         const Tensor centres = d.weight({5, d.floats(2).size(1)});
         d.returns([centres](const Tensors& v) { return at::cdist(v[0], centres); });
       }},
  };
}

// ---- Norms.

RandomOperators norms() {
  return {
      {"batch_norm",
       [](Draw& d) {
         const Tensor x = d.image();
         auto norm = d.keep(
             torch::nn::BatchNorm2d(torch::nn::BatchNorm2dOptions(x.size(1)).affine(d.chance(80))));
         if (norm->weight.defined() && d.chance(30)) norm->weight.neg_();
         d.returns([norm](const Tensors& v) mutable { return norm(v[0]); });
       }},
      {"batch_norm after an activation",
       [](Draw& d) {
         auto conv = d.keep(torch::nn::Conv2d(drawn_convolution(d, d.image())));
         auto norm = d.keep(torch::nn::BatchNorm2d(conv->options.out_channels()));
         d.returns([=](const Tensors& v) mutable { return norm(conv(v[0]).relu_()); });
       }},
      {"batch_norm of rows",
       [](Draw& d) {
         const Tensor x = d.chance(50) ? d.floats(2) : d.floats(3);
         auto norm = d.keep(torch::nn::BatchNorm1d(x.size(1)));
         d.returns([norm](const Tensors& v) mutable { return norm(v[0]); });
       }},
      {"linear, batch_norm",
       [](Draw& d) {
         auto linear = d.keep(torch::nn::Linear(d.floats(2).size(1), 6));
         auto norm = d.keep(torch::nn::BatchNorm1d(6));
         d.returns([=](const Tensors& v) mutable { return norm(linear(v[0])).relu(); });
       }},
      {"layer_norm",
       [](Draw& d) {
         const int64_t last = d.floats().size(-1);
         d.require(last > 2);
         auto norm = d.keep(torch::nn::LayerNorm(torch::nn::LayerNormOptions({last})));
         d.returns([norm](const Tensors& v) mutable { return norm(v[0]); });
       }},
      {"layer_norm of channels",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         d.require(channels > 2);
         auto norm = d.keep(torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels})));
         d.returns([norm](const Tensors& v) mutable {
           return norm(v[0].permute({0, 2, 3, 1})).permute({0, 3, 1, 2});
         });
       }},
      on_image("layer_norm of all",
               [](const Tensor& x) { return at::layer_norm(x, x.sizes().slice(1)); }),
      {"group_norm",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         auto norm = d.keep(
             torch::nn::GroupNorm(torch::nn::GroupNormOptions(d.divisor(channels, 4), channels)));
         d.returns([norm](const Tensors& v) mutable { return norm(v[0]); });
       }},
      {"instance_norm",
       [](Draw& d) {
         const Tensor x = d.image();
         d.require(x.size(2) * x.size(3) > 3);
         const Tensor w = d.weight({x.size(1)});
         d.returns([w](const Tensors& v) {
           return at::instance_norm(v[0], w, {}, {}, {}, true, 0.1, 1e-5, false);
         });
       }},
      {"local response norm",
       [](Draw& d) {
         d.image();
         auto norm = d.keep(torch::nn::LocalResponseNorm(torch::nn::LocalResponseNormOptions(3)));
         d.returns([norm](const Tensors& v) mutable { return norm(v[0]); });
       }},
      {"rms_norm",
       [](Draw& d) {
         const int64_t last = d.floats().size(-1);
         const Tensor w = d.weight({last});
         d.returns([=](const Tensors& v) { return at::rms_norm(v[0], {last}, w, 1e-3); });
       }},
      elementwise("normalize",
                  [](const Tensor& x) {
                    return x / x.norm(2, {x.dim() > 1 ? 1 : 0}, true).clamp_min(0.1).expand_as(x);
                  }),
      on_image("standardise",
               [](const Tensor& x) {
                 const Tensor mean = x.mean({2, 3}, true);
                 const Tensor variance = x.var({2, 3}, false, true);
                 return (x - mean) / (variance + 0.1).sqrt();
               }),
  };
}

// ---- Activations.

RandomOperators activations() {
  return {
      elementwise("relu", [](const Tensor& x) { return x.relu(); }),
      elementwise("relu6", [](const Tensor& x) { return at::relu6(x); }),
      elementwise("hardtanh", [](const Tensor& x) { return at::hardtanh(x, -0.7, 1.2); }),
      elementwise("clamp", [](const Tensor& x) { return x.clamp(-0.8, 1.1); }),
      elementwise("clamp_min", [](const Tensor& x) { return x.clamp_min(-0.3); }),
      elementwise("clamp_max", [](const Tensor& x) { return x.clamp_max(0.6); }),
      elementwise("leaky_relu", [](const Tensor& x) { return at::leaky_relu(x, 0.2); }),
      elementwise("elu", [](const Tensor& x) { return at::elu(x); }),
      elementwise("elu of three numbers", [](const Tensor& x) { return at::elu(x, 0.5, 1.5, 2); }),
      elementwise("selu", [](const Tensor& x) { return at::selu(x); }),
      elementwise("celu", [](const Tensor& x) { return at::celu(x, 0.7); }),
      elementwise("silu", [](const Tensor& x) { return at::silu(x); }),
      elementwise("gelu", [](const Tensor& x) { return at::gelu(x); }),
      elementwise("gelu by tanh", [](const Tensor& x) { return at::gelu(x, "tanh"); }),
      elementwise("mish", [](const Tensor& x) { return at::mish(x); }),
      elementwise("sigmoid", [](const Tensor& x) { return x.sigmoid(); }),
      elementwise("tanh", [](const Tensor& x) { return x.tanh(); }),
      elementwise("hardswish", [](const Tensor& x) { return at::hardswish(x); }),
      elementwise("hardsigmoid", [](const Tensor& x) { return at::hardsigmoid(x); }),
      elementwise("softplus", [](const Tensor& x) { return at::softplus(x, 2, 5); }),
      elementwise("threshold", [](const Tensor& x) { return at::threshold(x, 0.1, 0); }),
      elementwise("log_sigmoid", [](const Tensor& x) { return at::log_sigmoid(x); }),
      elementwise("softshrink", [](const Tensor& x) { return at::softshrink(x, 0.3); }),
      elementwise("tanhshrink in part", [](const Tensor& x) { return x - 0.4 * x.tanh(); }),
      elementwise("softsign", [](const Tensor& x) { return x / (1 + x.abs()); }),
      elementwise("softmax", [](const Tensor& x) { return x.softmax(-1); }),
      elementwise("log_softmax", [](const Tensor& x) { return x.log_softmax(0); }),
      elementwise("rrelu", [](const Tensor& x) { return at::rrelu(x, 0.1, 0.3, false); }),
      elementwise("dropout", [](const Tensor& x) { return at::dropout(x, 0.5, false); }),
      elementwise("alpha_dropout",
                  [](const Tensor& x) { return at::alpha_dropout(x, 0.5, false); }),
      on_image("feature_dropout",
               [](const Tensor& x) { return at::feature_dropout(x, 0.5, false); }),
      on_image("softmax of channels", [](const Tensor& x) { return x.softmax(1); }),
      elementwise("swish by hand", [](const Tensor& x) { return x * x.sigmoid(); }),
      elementwise("hardswish by hand", [](const Tensor& x) { return x * at::relu6(x + 3) / 6; }),
      {"hardshrink",
       [](Draw& d) {
         d.floats();
         d.rounds();
         d.returns([](const Tensors& v) { return at::hardshrink(v[0], 0.3); });
       }},
      {"prelu",
       [](Draw& d) {
         const Tensor x = d.floats();
         d.require(x.dim() > 1);
         const Tensor w = d.weight({d.chance(70) ? x.size(1) : 1}, 0.4);
         d.returns([w](const Tensors& v) { return at::prelu(v[0], w); });
       }},
      {"glu",
       [](Draw& d) {
         const Tensor x = d.floats();
         const int64_t dim = x.dim() > 1 ? 1 : 0;
         d.require(x.size(dim) % 2 == 0);
         d.returns([dim](const Tensors& v) { return at::glu(v[0], dim); });
       }},
      {"gate of channels",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         auto first = pointwise(d, channels, 3);
         auto second = pointwise(d, 3, channels);
         d.returns([=](const Tensors& v) mutable {
           const Tensor y = at::adaptive_avg_pool2d(v[0], {1, 1});
           return v[0] * second(first(y).relu_()).sigmoid();
         });
       }},
  };
}

}  // namespace

RandomOperators layer_operators() {
  RandomOperators all = convolutions();
  append(all, convolutions());  // drawn twice as often as the others
  append(all, other_convolutions());
  append(all, rare_convolutions());
  append(all, linear_layers());
  append(all, linear_layers());
  append(all, products());
  append(all, norms());
  append(all, activations());
  return all;
}

}  // namespace support
