#pragma once

#include "summary/receptive_field.h"

#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

/// Watches one forward, and collects what its modules did.
namespace convkit::detail {

/// What is known of one module.
struct ModuleRecord {
  std::string type;                          ///< "Conv2d"
  std::vector<std::vector<int64_t>> inputs;  ///< the sizes, of the first call
  std::vector<std::vector<int64_t>> outputs;
  ReceptiveFields::Field field;
  std::string dtype;
  int64_t calls = 0;  ///< that have ended: one that throws is none
  int64_t macs = 0;   ///< of its own operators
  int64_t output_bytes = 0;
  bool observed = false;  ///< its calls are told of
  bool inferred = false;  ///< its calls are known by their operators
};

/// What is known of a forward.
struct ForwardRecord {
  std::map<const torch::nn::Module*, ModuleRecord> modules;  ///< all that are in the outermost one
  int64_t input_bytes = 0;
};

/// Runs `forward`, and gives what is known of it. The module runs as it is: in its own mode.
ForwardRecord watched(const torch::nn::Module& module, const std::function<void()>& forward);

}  // namespace convkit::detail
