#include <convkit/blocks.h>

#include "check.h"

namespace convkit {

namespace nn = torch::nn;

ConvBlockImpl::ConvBlockImpl(ConvBlockOptions block_options) : options(std::move(block_options)) {
  ConvBlockImpl::reset();
}

void ConvBlockImpl::reset() {
  const auto conv_options =
      nn::Conv2dOptions(options.in_channels(), options.out_channels(), options.kernel_size())
          .stride(options.stride())
          .padding(options.padding());
  conv = register_module("conv", nn::Conv2d(detail::checked("ConvBlock", conv_options)));
  bn = register_module("bn", nn::BatchNorm2d(options.out_channels()));
  relu = register_module("relu", nn::ReLU(nn::ReLUOptions().inplace(true)));
}

torch::Tensor ConvBlockImpl::forward(const torch::Tensor& x) {
  detail::check_input("ConvBlock", x, options.in_channels(), detail::Batch::kRequired,
                      conv->weight);
  return relu(bn(conv(x)));
}

}  // namespace convkit
