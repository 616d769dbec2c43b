#pragma once

#include <convkit/module.h>
#include <convkit/state_dict.h>
#include <convkit/tree.h>

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

/// Finds out whether a module computes what PyTorch's does, and where it does not.
///
///     auto recording = convkit::load_recording("resnet18.safetensors");
///     torch::manual_seed(recording.seed);
///     auto net = convkit::models::resnet18();
///     auto comparison = convkit::compare(*net, recording);
///     std::cout << comparison.text();
namespace convkit {

/// What a module computed once, with its weights: by apps/convkit/record.py in Python, or by
/// record(). Its file is described there.
struct CONVKIT_API Recording {
  using Tensors = std::vector<std::pair<std::string, torch::Tensor>>;  ///< with their names

  /// One call of one module.
  struct Call {
    std::string path;   ///< of the module; empty for the outermost
    int64_t index = 0;  ///< among the calls of that module
    Tensors inputs;  ///< with the strides that they had: kernels choose their order of sums by them
    /// A single one has no name; those of a tuple are "0", "1", ..., those of a dict have its keys.
    Tensors outputs;
  };

  /// One training step of the outermost module.
  struct Training {
    Tensors outputs;
    Tensors gradients;  ///< that were given to backward(), one for each output
    Tensors input_gradients;
    StateDict parameter_gradients;
    StateDict buffers;  ///< after the step
  };

  /// A training of several steps that begins with `state_dict`, for compare_training(). A step's loss
  /// is the sum of mse_loss(output, target) over the outputs. Before it, the random generator is
  /// seeded with recording.seed + 1 + the step's number, which counts from 1.
  struct Steps {
    std::string optimizer;         ///< its class in torch.optim
    Tree options;                  ///< of the optimizer, by their names in Python
    std::vector<Tensors> inputs;   ///< of each step
    std::vector<Tensors> targets;  ///< of each step, one for each output
    torch::Tensor losses;          ///< one number for each step
    StateDict hashes;              ///< of each weight and buffer after each step, as in `fresh`
    std::map<int64_t, StateDict> states;  ///< weights and buffers after steps of these numbers
  };

  StateDict state_dict;
  std::vector<Call> calls;                     ///< in the order in which they ended
  std::map<std::string, std::string> classes;  ///< of each module by its path
  std::vector<std::string> never_called;       ///< paths of modules without a call
  std::map<std::string, int64_t> fresh;        ///< hashes of the tensors as the seed made them
  std::optional<Training> training;
  std::optional<Steps> steps;
  std::string torch;                         ///< the version
  std::string cpu;                           ///< the instruction set: "AVX2"
  std::string memory_format = "contiguous";  ///< or "channels_last"
  int64_t threads = 1;
  int64_t seed = 0;
};

/// Reads a recording.
///
/// Throws:  c10::Error, naming the file, for one that is no recording.
CONVKIT_API Recording load_recording(const std::string& path);

/// Writes a recording, for load_recording().
///
/// Throws:  as save_checkpoint().
CONVKIT_API void save_recording(const std::string& path, const Recording& recording);

/// Runs the module once in eval mode, without gradients, and records its own call and those of all
/// modules in it that are called through convkit's holders, a Sequential or forward_child(), and of
/// torch::nn's convolutions, norms, Linear, PReLU and Embedding, however they are called. Calls of
/// other modules of torch::nn by their own holders cannot be told from those of functions: a ReLU
/// that is called as `relu(x)` stands in `never_called`. The module, its mode, its buffers and the
/// CPU's random state are left as they were.
///
/// Throws:  c10::TypeError for a module that forward_child() cannot run; what it throws.
CONVKIT_API Recording record(torch::nn::Module& module, const torch::Tensor& input);

/// How to run a module of any number of inputs and outputs: what it is given and gives, in the order
/// of the recording's inputs and outputs.
using ForwardFunction =
    std::function<std::vector<torch::Tensor>(const std::vector<torch::Tensor>&)>;

/// Does the same for any module: `forward` runs it, and its result is that of the outermost module.
CONVKIT_API Recording record(torch::nn::Module& module, const ForwardFunction& forward,
                             const std::vector<torch::Tensor>& inputs);

/// How two tensors differ.
struct CONVKIT_API Difference {
  bool equal = false;            ///< the same shape, type and bits
  bool alive = true;             ///< a single number, or finite ones that are not all the same
  double max_absolute = 0;       ///< the largest difference
  double max_relative = 0;       ///< divided by the expected number, where that is not 0; never NaN
  double relative_to_scale = 0;  ///< the largest difference, divided by the largest expected number
  /// How many numbers of the type lie between two elements, at most; the largest int64 if there are
  /// more; 0 if the types differ, and for integers.
  int64_t max_ulps = 0;
  double equal_share = 1;      ///< of all elements
  std::vector<int64_t> where;  ///< the index of the largest difference, or of bits that differ
  std::string explanation;     ///< another shape or type; empty where numbers were compared
};

/// Compares two tensors. NaNs of the same bits are equal. Complex numbers are compared by their
/// parts.
CONVKIT_API Difference difference(const torch::Tensor& ours, const torch::Tensor& expected);

/// One line of a comparison.
struct CONVKIT_API ComparisonRow {
  /// What became of it.
  enum Status : int {
    kEqual,        ///< bit for bit, or within the tolerance
    kDifferent,    ///< or it threw
    kDead,         ///< the expected values are all the same, and prove nothing
    kNotCompared,  ///< the reason says why
  };
  std::string path;
  int64_t call = 0;
  std::string output;  ///< its name if there are several; of a gradient that of the input
  std::string type;    ///< Python's class, or what is compared: "gradient", "buffer"
  Status status = kNotCompared;
  std::string reason;
  Difference difference;
};

/// What compare() found.
struct CONVKIT_API Comparison {
  /// Every output of the outermost module is, and all live rows that could be compared. It is false
  /// where an output or the training step was not compared, or an output is dead.
  bool equal = false;
  /// The path of the first module that differs and in which no other does; nothing if all is equal.
  /// If only the training step differs, it is the path of its first row that does: of a parameter
  /// or buffer, or empty for the output and the gradient of the input.
  std::optional<std::string> first_difference;
  /// Each recorded call, fed with the recorded inputs: a row for each of its outputs. What has several
  /// inputs or outputs and is not the outermost module runs as a part of this one alone. It is compared
  /// where its calls are seen (as in record()) and it is given just the recorded inputs there.
  std::vector<ComparisonRow> layers;
  std::vector<ComparisonRow> end_to_end;  ///< each output of the outermost module
  std::vector<ComparisonRow> training;    ///< gradients and buffers, if the recording has them
  std::vector<std::string> keys;          ///< missing, unexpected and mis-shaped weights
  /// Tensors whose values, before the recorded ones were loaded, were not those that the seed gave
  /// Python. This is of use for a module that was made after torch::manual_seed(recording.seed).
  std::vector<std::string> initialisation;
  std::vector<std::string> notes;  ///< why bits may differ here: another version, instruction set

  /// Shows a table of what differs, or with `all` of all rows, and a verdict.
  [[nodiscard]] std::string text(bool all = false) const;
  /// Gives all rows and the verdict as JSON.
  [[nodiscard]] std::string json() const;

  explicit operator bool() const { return equal; }
};

/// Prints the text. So a test is one line, in Catch2 CHECK(compare(*net, load_recording(file))),
/// and says what differs when it fails.
CONVKIT_API std::ostream& operator<<(std::ostream& stream, const Comparison& comparison);

/// How exact compare() is.
struct CompareOptions {
  /// By how much numbers may differ, relative to the largest expected number of their tensor.
  double tolerance = 0;
};

/// Loads the recorded weights into the module, feeds each recorded input to the module of the same
/// path in it, and compares what comes out; then the module as a whole. Since every call gets
/// Python's input, differences do not add up, and the first wrong layer has a name. The module is
/// left in eval mode with the recorded weights; with a recorded training step it has done one.
/// That step seeds torch's random generator with recording.seed + 1, as Python did.
///
/// Throws:  c10::ValueError for a negative tolerance.
/// Source:  torch.testing.assert_close
CONVKIT_API Comparison compare(torch::nn::Module& module, const Recording& recording,
                               const CompareOptions& options = {});

/// Does the same for a module of several inputs or outputs: `forward` runs it as a whole.
///
///     using Tensors = std::vector<torch::Tensor>;
///     const auto forward = [&](const Tensors& x) -> Tensors {
///       const auto [boxes, scores] = net(x[0], x[1]);
///       return {boxes, scores};
///     };
///     auto comparison = convkit::compare(*net, forward, recording);
CONVKIT_API Comparison compare(torch::nn::Module& module, const ForwardFunction& forward,
                               const Recording& recording, const CompareOptions& options = {});

}  // namespace convkit
