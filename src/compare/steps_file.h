#pragma once

#include <convkit/compare.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

/// The part of a recording's file that has a training of several steps.
namespace convkit::detail {

/// Whether this is the key of one of its tensors.
inline bool is_of_steps(const std::string& key) {
  return key.starts_with("steps/");
}

/// Makes a training of what the description says of it, and of its tensors by their keys. An input
/// or target has the number of its step, and its own.
///
/// Throws:  c10::ValueError for what does not fit together
Recording::Steps read_steps(const nlohmann::json& given,
                            const std::map<std::string, torch::Tensor>& tensors);

/// Adds the tensors to those of a file, and returns the description.
nlohmann::json write_steps(const Recording::Steps& steps, StateDict& tensors);

}  // namespace convkit::detail
