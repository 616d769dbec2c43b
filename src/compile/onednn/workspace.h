#pragma once

#include "compile/onednn/program.h"

#include <c10/core/Allocator.h>

#include <cstdint>
#include <memory>
#include <mutex>
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

/// The workspaces of a program that no call uses now. After a burst of calls at a time they become fewer
/// again. Several threads at once may use it.
class FreeWorkspaces {
 public:
  /// One that was used lately; nullptr where there is none.
  std::unique_ptr<Workspace> take();
  void give_back(std::unique_ptr<Workspace> workspace);
  void clear();

 private:
  /// One that was not needed in as many calls goes.
  static constexpr int64_t kKept = 64;

  struct Free {
    std::unique_ptr<Workspace> workspace;
    int64_t since = 0;  ///< the call after which it was given back
  };

  std::mutex mutex_;
  std::vector<Free>
      free_;  ///< in the order in which they were given back: the last one is taken first
  int64_t calls_ = 0;
};

}  // namespace convkit::detail
