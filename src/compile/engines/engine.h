#pragma once

#include <convkit/compile.h>

#include "compile/plan/constant_pool.h"
#include "compile/plan/graph.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace convkit::detail {

/// Is shown each operator of LibTorch's that a plan runs, with the values which it is about to read.
using Watch = std::function<void(const Operation&, const std::vector<torch::Tensor>&)>;

/// Runs a plan, for inputs of one size and layout.
class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine();

  /// New tensors, which share memory with nothing. Several threads at once may call it.
  virtual Tensors run(const Tensors& inputs, const Watch* watch = nullptr) = 0;
  /// Lets go of memory that calls may need and that is quickly made anew. Several threads at once may call it.
  virtual void let_go() {}
  /// Puts its name, its steps and the memory that it holds into an explanation.
  virtual void explain(PlanExplanation& plan) const = 0;
};

/// What CompileOptions says to an engine.
struct EngineOptions {
  torch::Dtype dtype = torch::kFloat32;
  std::optional<torch::MemoryFormat> memory_format;
  /// Whether alternatives are timed, and which of them were given: see alternatives.h.
  bool timing = false;
  std::map<std::string, std::string> choices;
  /// The largest tile of Winograd's algorithm, or 0 for none of it; of the convolutions with these keys another
  /// one.
  int64_t largest_tile = 6;
  std::map<std::string, int64_t> largest_tiles;
  /// Where it finds the constants that other plans have too, while it is made; nullptr for none.
  ConstantPool* pool = nullptr;
};

/// Runs a step by LibTorch's own operators, without preparation.
void run_step(const Step& step, std::vector<torch::Tensor>& values);

/// An image with the padding of a convolution around it.
torch::Tensor padded(const Convolution& convolution, const torch::Tensor& x);
/// Computes what follows a convolution's activation, on the output that is there: PReLU, scale, shift.
void scale_and_shift(const Convolution& convolution, std::vector<torch::Tensor>& values);

/// A step as an engine explains it, by nobody yet. Its results of float32 are computed in `dtype`.
StepExplanation explained(const Graph& plan, const Step& step,
                          torch::Dtype dtype = torch::kFloat32);

/// Copies of all tensors.
Tensors copies(const Tensors& tensors);

}  // namespace convkit::detail
