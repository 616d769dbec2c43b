#pragma once

#include <convkit/arithmetic.h>
#include <convkit/module.h>

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

/// Shows what a network is made of: its modules, their shapes, parameters and multiplications.
///
///     std::cout << convkit::summarize(*net, torch::randn({1, 3, 224, 224}));
namespace convkit {

/// One module.
struct CONVKIT_API SummaryRow {
  std::string path;  ///< empty for the outermost
  std::string type;  ///< "Conv2d"
  int64_t depth = 0;
  std::vector<std::vector<int64_t>> input_sizes;  ///< of the first call; none if it did not run
  std::vector<std::vector<int64_t>> output_sizes;
  std::string dtype;       ///< of the first output: "Float"
  int64_t calls = 0;       ///< how often it ran
  int64_t parameters = 0;  ///< elements, its parts' included, each tensor once
  int64_t trainable = 0;   ///< those of them that require gradients
  int64_t buffers = 0;     ///< elements
  int64_t macs = 0;        ///< of all calls, its parts' included
  /// The size of the outputs of its parts' calls, or of its own outputs if these have none.
  int64_t activation_bytes = 0;
  /// Which pixels of the network's input the elements of the first call's output depend on, along
  /// the height and the width. It is known in networks of one input [N, C, H, W] that are chains or
  /// residual, of convolutions, poolings and operators on each element. There is none after a
  /// global pooling, a gate made by one, or an enlargement.
  std::optional<std::array<ReceptiveField, 2>> receptive_field;
  /// Its calls were not seen, but an operator was that can be its own: it is of its type, and next
  /// in order. The calls of modules with weights, and those by convkit's holders, Sequential and
  /// forward_child(), are seen.
  bool inferred = false;
};

/// A network, and one forward of it.
struct CONVKIT_API Summary {
  std::vector<SummaryRow> rows;  ///< the outermost module, then those in it, depth first
  int64_t parameters = 0;
  int64_t trainable = 0;
  int64_t buffers = 0;
  /// The multiply-accumulates of convolutions and matrix products, without biases and norms. That
  /// is half of what torch.utils.flop_counter.FlopCounterMode counts. A transposed convolution
  /// counts by its input; torchinfo counts it by its output, stride^2 times as much. Attention
  /// counts the same whichever kernel runs it; FlopCounterMode leaves out that of the CPU.
  int64_t macs = 0;
  int64_t input_bytes = 0;
  int64_t parameter_bytes = 0;
  int64_t activation_bytes = 0;  ///< of all outputs, as a training step would keep them

  /// Shows a tree, of `depth` levels below the outermost module, or of all levels. Of a module with
  /// more than two inputs or outputs it shows the first.
  [[nodiscard]] std::string text(int64_t depth = -1) const;
  /// Gives the same as JSON, with every size.
  [[nodiscard]] std::string json(int64_t depth = -1) const;
};

/// Prints the text.
CONVKIT_API std::ostream& operator<<(std::ostream& stream, const Summary& summary);

/// Runs the module once, in eval mode and without gradients, and counts. The module, its mode, its
/// buffers and the CPU's random state are left as they were.
///
/// Throws:  c10::TypeError for a module that forward_child() cannot run; what it throws.
/// Source:  torchinfo.summary; torch.utils.flop_counter.FlopCounterMode
CONVKIT_API Summary summarize(torch::nn::Module& module, const torch::Tensor& input);

/// Does the same for any module: `forward` runs it, `summarize(*net, [&] { net(x, y); })`.
CONVKIT_API Summary summarize(torch::nn::Module& module, const std::function<void()>& forward);

}  // namespace convkit
