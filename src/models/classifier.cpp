#include <convkit/blocks.h>
#include <convkit/models/classifier.h>

#include "core/check.h"

namespace convkit::models {

Backbone::~Backbone() = default;
MultiHead::~MultiHead() = default;

void detail::check_image_for(const std::string& network, const torch::nn::Module& stem,
                             const torch::Tensor& x) {
  const auto* layer = stem.as<Conv2dNormActivation>();
  const auto& conv = layer != nullptr ? *layer->conv : *stem.as<torch::nn::Conv2d>();
  convkit::detail::check_input(network.c_str(), x, conv.options.in_channels(),
                               convkit::detail::Batch::kRequired, conv.weight);
}

}  // namespace convkit::models
