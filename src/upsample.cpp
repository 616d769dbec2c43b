#include <convkit/upsample.h>

#include "check.h"

namespace convkit {

namespace nn = torch::nn;

UpsamplerImpl::UpsamplerImpl(UpsamplerOptions upsampler_options)
    : options(std::move(upsampler_options)) {
  UpsamplerImpl::reset();
}

void UpsamplerImpl::reset() {
  const int64_t scale = options.scale_factor();
  detail::check_positive("Upsampler", "scale_factor", scale);
  // ceil((scale - 1) / 2) is scale / 2 in integers.
  const auto conv_options =
      nn::ConvTranspose2dOptions(options.in_channels(), options.out_channels(),
                                 2 * scale - scale % 2)
          .stride(scale)
          .padding(scale / 2)
          .bias(options.bias());
  conv = register_module("conv", nn::ConvTranspose2d(detail::checked("Upsampler", conv_options)));
}

torch::Tensor UpsamplerImpl::forward(const torch::Tensor& x) {
  detail::check_input("Upsampler", x, options.in_channels(), detail::Batch::kOptional);
  return conv(x);
}

}  // namespace convkit
