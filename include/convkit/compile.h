#pragma once

#include <convkit/module.h>

#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

/// Inference made fast, of any module.
///
///     auto fast = convkit::compile(net, torch::randn({1, 3, 224, 224}));
///     torch::Tensor y = fast(x);
namespace convkit {

/// What compile() may do.
struct CompileOptions {
  /// The type in which it computes: torch::kFloat32; for a module of float32 also torch::kBFloat16, and on
  /// CUDA torch::kHalf. Inputs and results keep the module's types.
  torch::Dtype dtype = torch::kFloat32;
  /// The layout of results [N, C, H, W], whose values and sizes stay the same; results of other dimensions
  /// lie as the module's. Without one they lie as they are computed, mostly in channels_last.
  std::optional<torch::MemoryFormat> memory_format = std::nullopt;
  /// Whether oneDNN computes. It has no effect where convkit was built without oneDNN, nor on CUDA.
  bool onednn = true;
  /// Whether products of float32 may be rounded to TF32, on CUDA alone: for a module on a CPU it is
  /// refused. Without one LibTorch's own setting holds, which is the same one for all threads: it is
  /// changed while plans are made or run, and then put back. Calls with another value wait for these to end;
  /// within another compiled module the outer one's value holds.
  std::optional<bool> tf32 = std::nullopt;
  /// Whether the plain module runs, on a copy of its inputs and in its own dtype, where compile() refuses
  /// it; else that is an error. What the module itself throws is thrown on. Its results are copied where
  /// somebody else has their memory.
  bool fallback = false;
  /// Whether time decides. When a plan is made, ways to compute convolutions of unusual shapes are timed, for at
  /// most some 0.2 s and each shape once in a process; and where the whole plan takes longer than the module's own
  /// operators, these run. Without it the plan depends on shapes and the processor's instructions alone, and is
  /// the same each time.
  bool timing = true;
  /// Whether float32 convolutions r x r of stride 1, r = 3 or 5, with many channels may be computed by
  /// F(m x m, r x r), where that is faster: y = A^T [(G w G^T) * (B^T x B)] A for tiles of m x m results, with 4
  /// (m = 2), 2.25 (4) or 1.78 (6) multiplications where the definition of 3x3 takes 9, and 9 (2) or 4 (4) where that
  /// of 5x5 takes 25. Beside float64, at 512 channels the largest error of 3x3 is 1e-6 of the largest result with
  /// m = 2, 5e-6 with 4 and 3e-5 with 6, of 5x5 4e-6 with 2 and 2e-5 with 4, of the definition 2e-6 (apps/bench has a
  /// table). A plan whose results differ from the module's by more than 3e-5 of the largest one, and by more than 20
  /// times what they do without it, takes smaller tiles, or none, in as many convolutions as it has to. One NaN or
  /// infinity in an image makes NaN of the whole tiles that see it. The weights take ((m + r - 1) / r)^2 times their
  /// memory, and the workspace of each thread some MB. It has no effect beside bfloat16.
  bool winograd = true;
  /// How many plans, one for each shape and layout of the inputs and number of threads, are kept: the least recently used
  /// is dropped. They share their weights. oneDNN itself keeps up to 1024 kernels of a process, of some 30 KiB
  /// each. After some plans, or one of a large module, the heap's free pages go back to the system
  /// (malloc_trim): making plans leaves gaps.
  int64_t max_plans = 16;
  /// The ways to compute convolutions, as PlanExplanation::choices has them. oneDNN's plans take these, and decide
  /// by themselves only about convolutions of other geometries. With them, and without timing, a process has
  /// the bits of the one that they come from.
  std::map<std::string, std::string> choices = {};
};

/// One step of a plan: an operator, or several that are computed as one.
struct CONVKIT_API StepExplanation {
  std::string what;  ///< "conv2d 3x3 + relu"
  std::string by;    ///< who computes it: "oneDNN", "LibTorch" or "convkit"
  /// "jit:avx512_core", "brgconv:avx2, turned", "fused operator"; or why not by oneDNN, if it is known.
  std::string how;
  std::vector<std::string> fused;  ///< what it computes beside its first operator: {"relu"}
  int64_t bytes = 0;               ///< the size of its results
  int64_t macs = 0;                ///< multiplications of convolutions and matrix products
};

/// A plan for inputs of one shape and layout.
struct CONVKIT_API PlanExplanation {
  /// What one input has to be like.
  struct Input {
    std::vector<int64_t> sizes;
    bool channels_last = false;
    std::string dtype;   ///< "Float"
    std::string device;  ///< "cpu"
  };
  std::vector<Input> inputs;
  int64_t threads = 0;
  std::string dtype;  ///< the type in which numbers of float32 are computed: "Float"
  /// "oneDNN 3.2.0", "LibTorch's operators" (fused ones), "LibTorch's operators, with the module's own bits" or
  /// "the plain module".
  std::string engine;
  /// oneDNN, a CUDA graph, or with CompileOptions::fallback any plan could not compute it: a remark
  /// says why.
  bool fell_back = false;
  bool cuda_graph = false;               ///< one CUDA graph starts all kernels
  std::map<std::string, int64_t> notes;  ///< what was done, and how often: {"fused relu", 8}
  std::vector<std::string> remarks;      ///< why something was not done
  /// How oneDNN's plan computes convolutions of each geometry: "channels_last", "blocked" (a layout of
  /// oneDNN's own), "product" (of matrices), "turned" (height and width exchanged), "winograd 2x2" (or 4x4, 6x6: the
  /// tiles) or "LibTorch".
  std::map<std::string, std::string> choices;
  std::vector<StepExplanation> steps;
  int64_t workspace_bytes = 0;   ///< what each call that runs at a time needs
  int64_t separate_bytes = 0;    ///< what the workspace would be if no buffers shared memory
  int64_t scratchpad_bytes = 0;  ///< what oneDNN's kernels need beside it, for each call too
  int64_t weight_bytes = 0;      ///< the weights in the layouts of oneDNN's kernels
};

/// How a compiled module computes: its plans, the one used last first.
struct CONVKIT_API Explanation {
  std::vector<PlanExplanation> plans;  ///< none after refresh(), until the next call

  /// A few lines a plan, and one for each step.
  [[nodiscard]] std::string text() const;
  /// All of it as JSON.
  [[nodiscard]] std::string json() const;
};

/// The text.
CONVKIT_API std::ostream& operator<<(std::ostream& stream, const Explanation& explanation);

namespace detail {
class Compilation;
}

/// A module as compile() planned it. A copy is the same one.
///
/// It has a copy of the weights, and before each call it looks whether the module's have changed: their
/// memory, their version counters (which LibTorch's optimizers leave alone) and four elements of
/// each. If so, it plans anew. Call `refresh()` after changes that escape it: single elements set by hand,
/// other modules, options and state of modules; on CUDA, where it does not look at elements, all that
/// leaves the counters alone. Of sparse ones it looks at the counters alone. Tensors that the module holds
/// without registering them are constants.
///
/// Several threads may call it at once: a plan has a workspace for each call that runs at a time, which goes
/// when it was not needed for 64 calls, and the last one when the plan was not used for 512. The calls
/// of a CUDA graph follow one another. While one thread plans for a new shape, the others wait. No
/// thread may change the module's weights meanwhile.
///
/// Within another module that is compiled, summarised or recorded it runs the plain module, in that
/// one's own dtype, as a part of it.
class CONVKIT_API Compiled {
 public:
  using Tensors = std::vector<torch::Tensor>;  ///< several inputs or outputs

  /// The module's output for `input`, which is never written. A new shape or layout is planned on
  /// its first call. Runs without gradients.
  ///
  /// Throws: c10::Error if the module is in training mode or under autocast, or as compile() does
  ///         for a new shape, or if its own forward calls it; c10::ValueError for another number of
  ///         inputs, and for inputs on a CPU if `tf32` was given; what the module's own operators throw.
  torch::Tensor operator()(const torch::Tensor& input) const;
  /// The same for several inputs and outputs. No two outputs share memory.
  Tensors operator()(const Tensors& inputs) const;

  /// Plans anew on the next call.
  void refresh() const;

 private:
  friend CONVKIT_API Compiled compile(std::shared_ptr<torch::nn::Module> module,
                                      std::function<Tensors(const Tensors&)> forward,
                                      const Tensors& examples, const CompileOptions& options);
  friend CONVKIT_API Explanation explain(const Compiled& compiled);
  explicit Compiled(std::shared_ptr<detail::Compilation> compilation);

  std::shared_ptr<detail::Compilation> compilation_;
};

/// Plans a module's forward, in eval mode and without gradients, for inputs such as `example`: its
/// operators are recorded, batch norms folded into convolutions, activations and additions fused,
/// images held in channels_last, buffers shared. Operators without a faster form run as they are.
/// oneDNN computes where convkit was built with it, else LibTorch's own fused operators;
/// modules of another dtype or device run operator by operator, with the same bits as the module.
///
/// Results differ from the module's in the last bits, as with any other order of sums: in float32 by
/// about 1e-5 of the output's largest element for networks, in bfloat16 by up to several percent. A
/// plan is compared with the module before it is used (to 1e-3; for bfloat16 and half to 0.25): on the
/// example, and on random inputs of the scales 1e-3, 1 and 100. Where an operator compares, rounds, sorts or
/// divides, what it is given is compared, and then what the module makes of just that. One that oneDNN gets
/// wrong goes to LibTorch's fused operators, and after these to the module's own, which explain() tells.
/// NaN does not always pass: oneDNN's ReLU, clamp, hardsigmoid and max pooling drop it, as the processor's
/// maximum does, and of -infinity max pooling makes the lowest number; without oneDNN it does.
///
/// The module's forward runs twice when a plan is made, for each new shape; what it changes of itself meanwhile
/// stays changed, also where it is refused.
///
/// What cannot be recorded faithfully is refused by its name: a value read from the input (`item`),
/// random operators, batch norms in training mode, writing to the input or a weight, autocast, work
/// past LibTorch's dispatcher. The one thing that cannot be seen is a value read through a raw pointer that is
/// the same for the example and for other inputs of the same sizes.
///
/// Throws:  c10::Error with what was refused; c10::TypeError for a module that forward_child()
///          cannot run; c10::ValueError for options out of range, for choices that are none, and for a
///          dtype that the module's own or its device does not go with.
/// Source:  torch.compile
CONVKIT_API Compiled compile(std::shared_ptr<torch::nn::Module> module,
                             const torch::Tensor& example, const CompileOptions& options = {});

/// The same for any module: `forward` runs it, with inputs such as `examples`.
///
///     const auto forward = [net](const Compiled::Tensors& x) mutable -> Compiled::Tensors {
///       const auto [boxes, scores] = net(x[0], x[1]);
///       return {boxes, scores};
///     };
///     auto fast = convkit::compile(net.ptr(), forward, {image, sizes});
///     const Compiled::Tensors results = fast(Compiled::Tensors{image, sizes});
CONVKIT_API Compiled compile(std::shared_ptr<torch::nn::Module> module,
                             std::function<Compiled::Tensors(const Compiled::Tensors&)> forward,
                             const Compiled::Tensors& examples, const CompileOptions& options = {});

/// The same for a holder: `compile(net, example)`.
template <typename Contained>
Compiled compile(const torch::nn::ModuleHolder<Contained>& module, const torch::Tensor& example,
                 const CompileOptions& options = {}) {
  return compile(std::shared_ptr<torch::nn::Module>(module.ptr()), example, options);
}

/// How a compiled module computes: its steps, what was fused, what was not and why, and the memory.
CONVKIT_API Explanation explain(const Compiled& compiled);

}  // namespace convkit
