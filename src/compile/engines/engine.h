#pragma once

#include "compile/plan/plan.h"

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

/// What an engine computes in, of CompileOptions.
struct EngineOptions {
  torch::Dtype dtype = torch::kFloat32;
  std::optional<torch::MemoryFormat> memory_format;
};

/// By LibTorch's operators: the plan's own, and for convolutions the fused ones that it makes of
/// oneDNN's and cuDNN's. An exact plan has the module's own bits, so nothing of that.
std::unique_ptr<Engine> make_torch_engine(Plan plan, const EngineOptions& options);

/// Whether convkit was built with oneDNN.
bool has_onednn();

/// By oneDNN's primitives, made once, in one block of memory; by LibTorch's operators where oneDNN
/// has none. Throws c10::Error where it cannot, and where convkit was built without it.
std::unique_ptr<Engine> make_onednn_engine(const Plan& plan, const Tensors& example,
                                           const EngineOptions& options);

/// An engine on CUDA, as a CUDA graph: all its kernels started by one call. The engine itself where
/// it cannot be captured. Only where LibTorch has CUDA.
std::unique_ptr<Engine> make_cuda_graph(std::unique_ptr<Engine> engine, const Tensors& example);

}  // namespace convkit::detail
