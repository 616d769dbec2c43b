#pragma once

#include <convkit/state_dict.h>

#include "files/file.h"

#include <string>
#include <utility>
#include <vector>

/// The readers of all formats make tensors and a state_dict by these.
namespace convkit::detail {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// Puts tensors into a state_dict. Throws c10::Error for a name that comes twice, and for names
/// that were chosen to make its look-ups slow.
StateDict state_dict_of(const std::string& path, NamedTensors tensors);

/// Allocates a tensor for bytes that have to be copied. Throws c10::Error where memory is short.
torch::Tensor allocated(const MappedFile& file, const std::string& name, torch::IntArrayRef shape,
                        c10::ScalarType type);

}  // namespace convkit::detail
