#pragma once

#include "compile/onednn/program.h"

#include <c10/core/Allocator.h>

#include <utility>
#include <vector>

namespace convkit::detail {

/// One call's own memory, and oneDNN's handles of it.
struct Workspace {
  explicit Workspace(const Program& program);

  at::DataPtr memory;
  std::vector<torch::Tensor> values;
  dnnl::stream stream{cpu_engine()};
  std::vector<dnnl::memory> memories;
  std::vector<std::vector<dnnl_exec_arg_t>> arguments;  ///< of each command, if it is a primitive

  /// A handle whose memory is another one in each call.
  struct Binding {
    dnnl_memory_t memory;
    int64_t buffer;
    int64_t offset;
  };
  /// Values that each command's operator takes from the workspace, as tensors.
  std::vector<std::vector<std::pair<int64_t, torch::Tensor>>> step_inputs;
  std::vector<Binding> bindings;                      ///< of the program's inputs and outputs
  std::vector<std::vector<Binding>> tensor_bindings;  ///< of what an operator of LibTorch makes
  std::vector<char*> buffers;                         ///< where each begins
};

}  // namespace convkit::detail
