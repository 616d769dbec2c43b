#pragma once

#include "compile/tape/tape.h"

#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

/// What a tape becomes before an engine runs it: fewer operators, of values that nothing overwrites.
namespace convkit::detail {

/// A convolution of images with constant weights, and what follows it: activation(conv(x) + y).
struct Convolution {
  int64_t input = -1;
  int64_t added = -1;  ///< y, of the output's size; -1 without one
  int64_t output = -1;
  torch::Tensor
      weight;          ///< as torch.nn.Conv2d's or ConvTranspose2d's; a linear layer's is [out, in]
  torch::Tensor bias;  ///< may be undefined
  std::vector<int64_t> stride{1, 1};
  std::vector<int64_t> padding{0, 0};
  std::vector<int64_t> dilation{1, 1};
  std::vector<int64_t> output_padding{0, 0};
  int64_t groups = 1;
  bool transposed = false;
  bool linear = false;  ///< the last dimension of the input are the channels
  std::optional<Operation> activation;
};

/// Layer norm over the channels of an image [N, C, H, W].
struct ChannelNorm {
  int64_t input = -1;
  int64_t output = -1;
  torch::Tensor weight;  ///< may be undefined, as the bias
  torch::Tensor bias;
  double eps = 0;
};

using Step = std::variant<Operation, Convolution, ChannelNorm>;

struct Plan {
  std::vector<Value> values;  ///< a constant has its own copy of what it is
  std::vector<Step> steps;
  std::vector<int64_t> outputs;
  std::size_t input_count = 0;
  /// Values whose memory operators in place write, or that are views of such: run as they are.
  std::set<int64_t> overwritten;
  bool exact = false;  ///< nothing is fused, and every tensor has the layout that was recorded
  std::vector<std::string> notes;  ///< what was fused and folded, for explain()
};

/// Without `fuse`: constants folded and what does nothing removed, with the module's own bits. So
/// it is, too, where the forward counts on how its tensors lie in memory.
Plan make_plan(const Tape& tape, bool fuse);

/// Whether a step reads or makes what operators in place write: its inputs have to be laid out as
/// they were recorded.
bool is_raw(const Plan& plan, const Step& step);

/// The values that a step reads, and those that it makes.
std::vector<int64_t> inputs_of(const Step& step);
std::vector<int64_t> outputs_of(const Step& step);

/// The i-th number of an argument that may be a list of one number for both axes.
int64_t number_at(const Argument& argument, std::size_t i, int64_t otherwise = 0);

/// "aten::relu_" as "relu".
std::string plain_name(const Operation& operation);

/// "conv2d 3x3 /2 + add + relu": a step in a line of explain().
std::string describe(const Step& step);

}  // namespace convkit::detail
