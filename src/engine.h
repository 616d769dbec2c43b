#pragma once

#include "plan.h"

#include <memory>
#include <string>

namespace convkit::detail {

/// Runs a plan, for inputs of one size and layout.
class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine();

  /// New tensors, which share memory with nothing. Several threads at once may call it.
  virtual Tensors run(const Tensors& inputs) = 0;
  /// Its name, each step, and the memory it holds; lines for explain().
  [[nodiscard]] virtual std::string text() const = 0;
};

/// The step by LibTorch's own operators, without preparation.
void run_step(const Step& step, std::vector<torch::Tensor>& values);

/// For each step the values that are used there for the last time: results are never among them.
std::vector<std::vector<int64_t>> last_uses(const Plan& plan);

/// By LibTorch's operators: the plan's own, and for convolutions of float32 on the CPU the fused
/// ones that LibTorch makes of oneDNN's. `dtype`: that of the convolutions; `exact`: the module's
/// own bits, so nothing of that.
std::unique_ptr<Engine> make_torch_engine(Plan plan, torch::Dtype dtype, bool exact,
                                          std::optional<torch::MemoryFormat> memory_format);

/// By oneDNN's primitives, made once, in one block of memory; by LibTorch's operators where oneDNN
/// has none. Only where convkit was built with it.
std::unique_ptr<Engine> make_onednn_engine(Plan plan, const Tensors& example, torch::Dtype dtype,
                                           std::optional<torch::MemoryFormat> memory_format);

}  // namespace convkit::detail
