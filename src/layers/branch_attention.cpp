#include <convkit/branch_attention.h>
#include <convkit/init.h>

#include "core/check.h"
#include "layers/norm.h"

#include <ATen/ops/stack.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>

#include <algorithm>
#include <utility>

namespace convkit {

namespace nn = torch::nn;

namespace {

/// SelectiveKernel's weights of the branches; timm.layers.selective_kernel.SelectiveKernelAttn.
class SelectiveKernelAttnImpl : public Block<SelectiveKernelAttnImpl> {
 public:
  SelectiveKernelAttnImpl(int64_t channels, int64_t num_paths, int64_t attn_channels)
      : channels(channels), num_paths(num_paths), attn_channels(attn_channels) {
    SelectiveKernelAttnImpl::reset();
  }

  void reset() override {
    const auto linear = [](int64_t in_channels, int64_t out_channels) {
      return nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, 1).bias(false));
    };
    fc_reduce = register_module("fc_reduce", linear(channels, attn_channels));
    bn = register_module("bn", nn::BatchNorm2d(attn_channels));
    act = register_module("act", nn::ReLU(nn::ReLUOptions(/*inplace=*/true)));
    fc_select = register_module("fc_select", linear(attn_channels, channels * num_paths));
  }

  /// Takes [N, num_paths, channels, H, W], and gives [N, num_paths, channels, 1, 1].
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor means = x.sum(1).mean({2, 3}, /*keepdim=*/true);
    const torch::Tensor y = fc_select(act(bn(fc_reduce(means))));
    return y.view({y.size(0), num_paths, channels, 1, 1}).softmax(1);
  }

  int64_t channels;
  int64_t num_paths;
  int64_t attn_channels;
  nn::Conv2d fc_reduce{nullptr};
  nn::BatchNorm2d bn{nullptr};
  nn::ReLU act{nullptr};
  nn::Conv2d fc_select{nullptr};
};

void check_ratio(const char* module, double rd_ratio) {
  TORCH_CHECK_VALUE(rd_ratio > 0 && rd_ratio < 1e6, module, ": expected 0 < rd_ratio < 10^6, got ",
                    rd_ratio);
}

}  // namespace

SelectiveKernelImpl::SelectiveKernelImpl(SelectiveKernelOptions module_options)
    : options(std::move(module_options)) {
  SelectiveKernelImpl::reset();
}

void SelectiveKernelImpl::reset() {
  constexpr const char* kName = "SelectiveKernel";
  const auto num_paths = static_cast<int64_t>(options.kernel_size().size());
  const int64_t out_channels = options.out_channels().value_or(options.in_channels());
  detail::check_positive(kName, "in_channels", options.in_channels());
  detail::check_positive(kName, "out_channels", out_channels);
  detail::check_positive(kName, "dilation", options.dilation());
  detail::check_positive(kName, "groups", options.groups());
  detail::check_positive(kName, "rd_divisor", options.rd_divisor());
  check_ratio(kName, options.rd_ratio());
  TORCH_CHECK_VALUE(num_paths > 0, kName, ": expected at least one kernel_size, got none");
  for (const int64_t size : options.kernel_size()) {
    TORCH_CHECK_VALUE(size >= 3 && size % 2 == 1, kName, ": expected an odd kernel_size >= 3, got ",
                      size);
  }
  int64_t in_channels = options.in_channels();
  if (options.split_input()) {
    TORCH_CHECK_VALUE(in_channels % num_paths == 0, kName, ": expected in_channels divisible by ",
                      num_paths, " branches, got ", in_channels);
    in_channels /= num_paths;
  }
  const int64_t attn_channels = options.rd_channels().value_or(
      make_divisible(static_cast<double>(out_channels) * options.rd_ratio(), options.rd_divisor()));
  detail::check_positive(kName, "rd_channels", attn_channels);

  paths = register_module("paths", nn::ModuleList());
  for (const int64_t size : options.kernel_size()) {
    const int64_t kernel_size = options.keep_3x3() ? 3 : size;
    const int64_t dilation =
        options.keep_3x3() ? options.dilation() * (size - 1) / 2 : options.dilation();
    const auto conv = nn::Conv2dOptions(in_channels, out_channels, kernel_size)
                          .stride(options.stride())
                          .padding((options.stride() - 1 + dilation * (kernel_size - 1)) / 2)
                          .dilation(dilation)
                          .groups(std::min(out_channels, options.groups()))
                          .bias(false);
    const auto norm = BatchNormAct2dOptions(out_channels).act_layer(options.act_layer());
    paths->push_back(
        Sequential{{"conv", nn::Conv2d(detail::checked(kName, conv))}, {"bn", BatchNormAct2d(norm)}}
            .ptr());
  }
  attn = register_module(
      "attn", std::make_shared<SelectiveKernelAttnImpl>(out_channels, num_paths, attn_channels));
}

torch::Tensor SelectiveKernelImpl::forward(const torch::Tensor& x) {
  const auto& fc_reduce = static_cast<SelectiveKernelAttnImpl&>(*attn).fc_reduce;
  detail::check_input("SelectiveKernel", x, options.in_channels(), detail::Batch::kRequired,
                      fc_reduce->weight);
  const auto count = static_cast<int64_t>(paths->size());
  std::vector<torch::Tensor> inputs(paths->size(), x);
  if (options.split_input()) inputs = x.split(x.size(1) / count, 1);
  std::vector<torch::Tensor> results;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    results.push_back(forward_child(*paths[i], inputs[i]));
  }
  const torch::Tensor y = at::stack(results, 1);
  return (y * forward_child(*attn, y)).sum(1);
}

namespace {

/// SplitAttn's last step; timm.layers.split_attn.RadixSoftmax.
class RadixSoftmaxImpl : public Block<RadixSoftmaxImpl> {
 public:
  RadixSoftmaxImpl(int64_t radix, int64_t cardinality) : radix(radix), cardinality(cardinality) {}

  void reset() override {}
  torch::Tensor forward(const torch::Tensor& x) override {
    if (radix == 1) return x.sigmoid();
    const torch::Tensor parts = x.view({x.size(0), cardinality, radix, -1}).transpose(1, 2);
    return parts.softmax(1).reshape({x.size(0), -1});
  }

  int64_t radix;
  int64_t cardinality;
};

}  // namespace

SplitAttnImpl::SplitAttnImpl(SplitAttnOptions module_options) : options(std::move(module_options)) {
  SplitAttnImpl::reset();
}

void SplitAttnImpl::reset() {
  constexpr const char* kName = "SplitAttn";
  const int64_t in_channels = options.in_channels();
  const int64_t out_channels = options.out_channels().value_or(in_channels);
  const int64_t radix = options.radix();
  detail::check_positive(kName, "in_channels", in_channels);
  detail::check_positive(kName, "out_channels", out_channels);
  detail::check_positive(kName, "kernel_size", options.kernel_size());
  detail::check_positive(kName, "groups", options.groups());
  detail::check_positive(kName, "radix", radix);
  detail::check_positive(kName, "rd_divisor", options.rd_divisor());
  check_ratio(kName, options.rd_ratio());
  TORCH_CHECK_VALUE(options.act_layer().kind != Activation::kNone, kName,
                    ": expected an act_layer, got kNone");
  const double suggested = static_cast<double>(in_channels * radix) * options.rd_ratio();
  const int64_t attn_channels = options.rd_channels()
                                    ? *options.rd_channels() * radix
                                    : make_divisible(suggested, options.rd_divisor(), 32);
  detail::check_positive(kName, "rd_channels", attn_channels);
  const auto linear = [this](int64_t from, int64_t to) {
    return nn::Conv2d(
        detail::checked(kName, nn::Conv2dOptions(from, to, 1).groups(options.groups())));
  };
  const auto conv_options =
      nn::Conv2dOptions(in_channels, out_channels * radix, options.kernel_size())
          .stride(options.stride())
          .padding(options.padding().value_or(options.kernel_size() / 2))
          .dilation(options.dilation())
          .groups(options.groups() * radix)
          .bias(options.bias());
  conv = register_module("conv", nn::Conv2d(detail::checked(kName, conv_options)));
  bn0 = detail::norm_of(kName, options.norm_layer(), out_channels * radix);
  if (bn0 != nullptr) register_module("bn0", bn0);
  act0 = register_module("act0", make_activation(options.act_layer(), /*inplace=*/true));
  fc1 = register_module("fc1", linear(out_channels, attn_channels));
  bn1 = detail::norm_of(kName, options.norm_layer(), attn_channels);
  if (bn1 != nullptr) register_module("bn1", bn1);
  act1 = register_module("act1", make_activation(options.act_layer(), /*inplace=*/true));
  fc2 = register_module("fc2", linear(attn_channels, out_channels * radix));
  rsoftmax =
      register_module("rsoftmax", std::make_shared<RadixSoftmaxImpl>(radix, options.groups()));
}

torch::Tensor SplitAttnImpl::forward(const torch::Tensor& x) {
  detail::check_input("SplitAttn", x, options.in_channels(), detail::Batch::kRequired,
                      conv->weight);
  const int64_t radix = options.radix();
  torch::Tensor y = conv(x);
  if (bn0 != nullptr) y = forward_child(*bn0, y);
  y = forward_child(*act0, y);
  const int64_t channels = y.size(1) / radix;
  if (radix > 1) y = y.reshape({y.size(0), radix, channels, y.size(2), y.size(3)});
  torch::Tensor a = fc1((radix > 1 ? y.sum(1) : y).mean({2, 3}, /*keepdim=*/true));
  if (bn1 != nullptr) a = forward_child(*bn1, a);
  a = forward_child(*rsoftmax, fc2(forward_child(*act1, a))).view({y.size(0), -1, 1, 1});
  if (radix == 1) return (y * a).contiguous();
  return (y * a.reshape({y.size(0), radix, channels, 1, 1})).sum(1).contiguous();
}

}  // namespace convkit
