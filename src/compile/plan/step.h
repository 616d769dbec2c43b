#pragma once

#include "compile/tape/tape.h"

#include <optional>
#include <string>
#include <variant>
#include <vector>

/// A plan is made of steps: operators of a tape, or structs that stand for several of them.
namespace convkit::detail {

/// A convolution of images with constant weights, and what follows it:
/// activation(conv(x) + y) * scale + shift.
struct Convolution {
  int64_t input = -1;
  int64_t added = -1;  ///< y, of the output's size; -1 without one
  int64_t output = -1;
  /// The weight of torch.nn.Conv2d or ConvTranspose2d; [out, in] for a linear layer.
  torch::Tensor weight;
  torch::Tensor bias;  ///< may be undefined
  std::vector<int64_t> stride{1, 1};
  std::vector<int64_t> padding{0, 0};  ///< before the image, and after it
  /// How many more zeros are after the image than before it, or fewer; 0 for a transposed one.
  std::vector<int64_t> extra_padding{0, 0};
  std::vector<int64_t> dilation{1, 1};
  std::vector<int64_t> output_padding{0, 0};
  int64_t groups = 1;
  bool transposed = false;
  bool linear = false;  ///< the channels are the input's last dimension
  std::optional<Operation> activation;
  torch::Tensor slope;  ///< PReLU is the activation: one number, or one for each channel
  torch::Tensor scale;  ///< one number, or one for each channel; may be undefined, as the shift
  torch::Tensor shift;
  std::vector<std::string> scaled_by;  ///< the operators that scale and shift stand for
};

/// Layer norm over the channels of an image [N, C, H, W].
struct ChannelNorm {
  int64_t input = -1;
  int64_t output = -1;
  torch::Tensor weight;  ///< may be undefined, as the bias
  torch::Tensor bias;
  double eps = 0;
};

/// activation(x * scale + shift): a batch norm, or sums and products with constants.
struct Affine {
  int64_t input = -1;
  int64_t output = -1;
  torch::Tensor scale;  ///< one number, or one for each place along `axis`; may be undefined
  torch::Tensor shift;  ///< the same
  int64_t axis = 1;
  std::vector<std::string> operators;  ///< that scale and shift stand for
  std::optional<Operation> activation;
};

/// A pooling of images, and the padding before it.
struct PaddedPool {
  int64_t input = -1;
  int64_t output = -1;
  Operation pad;
  Operation pool;
  std::vector<int64_t> before;  ///< rows and columns that `pad` puts before the image
  std::vector<int64_t> after;
};

/// The same numbers, in memory that lies as it was recorded: what comes after it looks at that.
struct Copy {
  int64_t input = -1;
  int64_t output = -1;
  std::vector<int64_t> strides;
  bool owned = false;  ///< nothing else may share the memory, since it is written later
  bool last = false;   ///< no later step uses the input
};

using Step = std::variant<Operation, Convolution, ChannelNorm, Affine, PaddedPool, Copy>;

/// The values that a step reads, and those that it makes.
std::vector<int64_t> inputs_of(const Step& step);
std::vector<int64_t> outputs_of(const Step& step);

/// Calls `f(id)` for each place of a step that names a value which it reads, or -1.
template <typename F>
void for_each_input(Step& step, const F& f) {
  if (auto* operation = std::get_if<Operation>(&step)) {
    for (Argument& argument : operation->arguments) {
      for (int64_t& id : argument.values) f(id);
    }
    for (int64_t& id : operation->written) f(id);
    return;
  }
  std::visit(
      [&](auto& other) {
        if constexpr (requires { other.input; }) f(other.input);
        if constexpr (requires { other.added; }) f(other.added);
        if constexpr (requires { other.pad; }) other.pad.arguments[0].values = {other.input};
      },
      step);
}

/// Calls `f(tensor)` for each constant tensor that a step holds itself; it may be undefined.
template <typename F>
void for_each_tensor(Step& step, const F& f) {
  std::visit(
      [&](auto& any) {
        if constexpr (requires { any.weight; }) f(any.weight), f(any.bias);
        if constexpr (requires { any.slope; }) f(any.slope);
        if constexpr (requires { any.scale; }) f(any.scale), f(any.shift);
      },
      step);
}

/// The value of a step's first argument; -1 where that is no tensor.
int64_t first_input(const Step& step);

/// The only tensor of argument `i`; -1 where there is none.
int64_t tensor_argument(const Operation& operation, std::size_t i);

/// Number `i` of an argument that may be a list of one number for both axes.
int64_t number_at(const Argument& argument, std::size_t i, int64_t otherwise = 0);

/// Whether an argument is the number 1.
bool is_one(const Argument& argument);

/// "relu" of "aten::relu_"; the whole name of an operator that is not LibTorch's own.
std::string plain_name(const Operation& operation);

/// Whether an operator is an activation that can follow a convolution.
bool is_activation(const Operation& operation);

/// The dimension of the channels in the output of a convolution, which has so many.
int64_t channel_axis(const Convolution& convolution, std::size_t dims);

/// Whether a convolution has another padding after the image than before it.
bool is_lopsided(const Convolution& convolution);
/// The padding after the image.
std::vector<int64_t> padding_after(const Convolution& convolution);

/// The rows and columns before and after an image that an operator fills with one number.
struct ConstantPadding {
  double number = 0;
  std::vector<int64_t> before{0, 0};
  std::vector<int64_t> after{0, 0};
};
/// Nothing for an operator of another kind, and where it cuts, or pads other dimensions.
std::optional<ConstantPadding> constant_padding_of(const Operation& operation);

/// "conv2d 3x3 stride 2 + add + relu": what a step computes, as explain() shows it.
std::string describe(const Step& step);

/// The operators that a step computes beside its own: {"add", "relu"}.
std::vector<std::string> fused_in(const Step& step);

}  // namespace convkit::detail
