#include <convkit/separable.h>

#include "core/check.h"

namespace convkit {

namespace nn = torch::nn;

SeparableConv2dImpl::SeparableConv2dImpl(SeparableConv2dOptions conv_options)
    : options(std::move(conv_options)) {
  SeparableConv2dImpl::reset();
}

void SeparableConv2dImpl::reset() {
  constexpr auto name = "SeparableConv2d";
  // Before their product, which would be blamed on out_channels.
  detail::check_positive(name, "in_channels", options.in_channels());
  detail::check_positive(name, "depth_multiplier", options.depth_multiplier());
  const int64_t depth = options.in_channels() * options.depth_multiplier();
  detail::check_positive(name, "in_channels * depth_multiplier", depth);

  const auto depthwise_options =
      nn::Conv2dOptions(options.in_channels(), depth, options.kernel_size())
          .stride(options.stride())
          .padding(options.padding())
          .dilation(options.dilation())
          .groups(options.in_channels())
          .bias(options.depthwise_bias());
  const auto pointwise_options =
      nn::Conv2dOptions(depth, options.out_channels(), 1).bias(options.pointwise_bias());
  detail::checked(name, pointwise_options);
  depthwise = register_module("depthwise", nn::Conv2d(detail::checked(name, depthwise_options)));
  pointwise = register_module("pointwise", nn::Conv2d(pointwise_options));
}

torch::Tensor SeparableConv2dImpl::forward(const torch::Tensor& x) {
  detail::check_input("SeparableConv2d", x, options.in_channels(), detail::Batch::kOptional,
                      depthwise->weight);
  return pointwise(depthwise(x));
}

}  // namespace convkit
