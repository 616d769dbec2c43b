#pragma once

#include <convkit/module.h>

#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// Inference made fast, of any module.
///
///     auto fast = convkit::compile(net, torch::randn({1, 3, 224, 224}));
///     torch::Tensor y = fast(x);
namespace convkit {

/// What compile() may do.
struct CompileOptions {
  /// In which it computes: torch::kFloat32; for a module of float32 also torch::kBFloat16, and on
  /// CUDA torch::kHalf. Inputs and results keep the module's types.
  torch::Dtype dtype = torch::kFloat32;
  /// Layout of results [N, C, H, W]. Without one as they are computed, mostly channels_last; their
  /// values and sizes are the same.
  std::optional<torch::MemoryFormat> memory_format = std::nullopt;
  /// Whether oneDNN computes, where convkit was built with it.
  bool onednn = true;
  /// On CUDA, whether products of float32 may be rounded to TF32; without a word, as LibTorch's own
  /// setting has it. It is LibTorch's one for all threads while a plan is made or runs.
  std::optional<bool> tf32 = std::nullopt;
  /// To run the plain module, on a copy of its inputs and in its own dtype, where it cannot be
  /// compiled faithfully, instead of an error.
  bool fallback = false;
  /// How many plans, one for each shape and layout of the inputs, are kept: the least recently used
  /// is dropped. oneDNN itself keeps up to 1024 kernels of a process, which take some memory.
  int64_t max_plans = 16;
};

namespace detail {
class Compilation;
}

/// A module as compile() planned it. A copy is the same one.
///
/// It has a copy of the weights, and before each call looks whether the module's have changed: their
/// memory, their version counters (which LibTorch's optimizers leave alone) and four elements of
/// each. If so, it plans anew. Call `refresh()` for what escapes it: single elements set by hand,
/// other modules, options and state of modules; on CUDA, whose elements are not looked at, all that
/// leaves the counters alone. Tensors that the module holds without registering them are constants.
///
/// Several threads may call it at once: a plan has a workspace for each call that runs at a time,
/// but for a CUDA graph, whose calls follow one another. While one thread plans for a new shape, the
/// others wait. No thread may change the module's weights meanwhile.
///
/// Within another module that is compiled, summarised or recorded it runs the plain module, in that
/// one's own dtype, as a part of it.
class CONVKIT_API Compiled {
 public:
  using Tensors = std::vector<torch::Tensor>;

  /// The module's output for `input`, which is never written. A new shape or layout is planned on
  /// its first call. Runs without gradients.
  ///
  /// Throws: c10::Error if the module is in training mode or under autocast, or as compile() does
  ///         for a new shape, or if its own forward calls it; what the module's own operators throw.
  torch::Tensor operator()(const torch::Tensor& input) const;
  /// The same for several inputs and outputs. No two outputs share memory.
  Tensors operator()(const Tensors& inputs) const;

  /// Plans anew on the next call.
  void refresh() const;

 private:
  friend CONVKIT_API Compiled compile(std::shared_ptr<torch::nn::Module> module,
                                      std::function<Tensors(const Tensors&)> forward,
                                      const Tensors& examples, const CompileOptions& options);
  friend CONVKIT_API std::string explain(const Compiled& compiled);
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
/// plan's result for a second, random input is compared with the module's before it is used (to
/// 1e-3; for bfloat16 and half to 0.25): one that oneDNN gets wrong goes to LibTorch's operators,
/// which explain() tells. NaN does not always pass: oneDNN's ReLU, clamp and max pooling drop it, as
/// the processor's maximum does, and of -infinity max pooling makes the lowest number.
///
/// What cannot be recorded faithfully is refused by its name: a value read from the input (`item`),
/// random operators, batch norms in training mode, writing to the input or a weight, autocast, work
/// past LibTorch's dispatcher. The one thing that cannot be seen is a branch on raw memory that both
/// the example and the random input take the same way.
///
/// Throws:  c10::Error with what was refused; c10::TypeError for a module that forward_child()
///          cannot run; c10::ValueError for options out of range, and for a dtype that the module's
///          own or its device does not go with.
/// Source:  torch.compile
CONVKIT_API Compiled compile(std::shared_ptr<torch::nn::Module> module,
                             const torch::Tensor& example, const CompileOptions& options = {});

/// The same for any module: `forward` runs it, with inputs such as `examples`.
CONVKIT_API Compiled compile(std::shared_ptr<torch::nn::Module> module,
                             std::function<Compiled::Tensors(const Compiled::Tensors&)> forward,
                             const Compiled::Tensors& examples, const CompileOptions& options = {});

/// The same for a holder: `compile(net, example)`.
template <typename Contained>
Compiled compile(const torch::nn::ModuleHolder<Contained>& module, const torch::Tensor& example,
                 const CompileOptions& options = {}) {
  return compile(std::shared_ptr<torch::nn::Module>(module.ptr()), example, options);
}

/// The steps of each plan: what was fused, what was not and why, the engine and the memory.
CONVKIT_API std::string explain(const Compiled& compiled);

}  // namespace convkit
