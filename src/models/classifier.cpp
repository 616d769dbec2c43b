#include <convkit/blocks.h>
#include <convkit/models/classifier.h>

#include "core/check.h"

namespace convkit::models {

Backbone::~Backbone() = default;

void detail::check_image_for(const std::string& network, const torch::nn::Module& stem,
                             const torch::Tensor& x) {
  const auto& conv = stem.as<Conv2dNormActivation>()->conv;
  convkit::detail::check_input(network.c_str(), x, conv->options.in_channels(),
                               convkit::detail::Batch::kRequired, conv->weight);
}

}  // namespace convkit::models
