#include "compare/recorded.h"

#include "core/strides.h"

namespace convkit::detail {

std::vector<torch::Tensor> copied(const Recording::Tensors& recorded) {
  std::vector<torch::Tensor> copies;
  for (const auto& [name, tensor] : recorded) copies.push_back(copy_with_strides(tensor));
  return copies;
}

void load_weights(torch::nn::Module& module, const Recording& recording) {
  StateDict weights;
  for (const auto& entry : recording.state_dict) {
    weights.insert(entry.key(), entry.value().clone());
  }
  load_state_dict(module, weights);
  if (recording.memory_format != "channels_last") return;
  for (torch::Tensor& parameter : module.parameters()) {
    if (parameter.dim() == 4) {
      parameter.set_data(parameter.detach().contiguous(torch::MemoryFormat::ChannelsLast));
    }
  }
}

}  // namespace convkit::detail
