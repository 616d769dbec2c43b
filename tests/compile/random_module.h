#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// Modules that a seed makes up, of all that LibTorch offers on images.
namespace support {

using Tensors = std::vector<torch::Tensor>;

/// The numbers of a tensor as double, those of complex numbers in a last dimension.
torch::Tensor as_real(const torch::Tensor& x);

/// One step of a module made up at random: a function of values that stand before it.
struct RandomStep {
  /// What becomes of the step while a module that fails is made smaller.
  enum class State {
    kRuns,
    kGone,    ///< without results
    kPasses,  ///< its first argument is its result
  };

  std::string name;     ///< of the operator
  std::string details;  ///< "3x3 stride 2"
  std::vector<std::size_t> arguments;
  std::function<Tensors(const Tensors&)> function;
  std::size_t first_result = 0;
  std::size_t result_count = 0;
  bool writes = false;  ///< to its first argument
  bool rounds = false;  ///< small changes of its arguments may make jumps in its results
  State state = State::kRuns;
};

/// Says what a call of RandomModule::run() adds to each step's results of floating point: as much as
/// another order of sums might, times `relative`. Without it, nothing.
struct RandomNoise {
  double relative = 0;
  uint64_t seed = 1;
};

/// A directed graph of some steps, which a seed makes up: with branches, views, writes in place and through
/// views, layers used twice, several inputs and outputs.
class RandomModule : public torch::nn::Module {
 public:
  /// Two modules of the same seed are the same one, but for the steps past `most_steps`.
  explicit RandomModule(uint32_t seed, std::size_t most_steps = 30);

  /// Its results. It never writes to the inputs, unless these lie as no example did.
  [[nodiscard]] Tensors run(const Tensors& inputs, RandomNoise noise = {}) const;
  /// Whether no value becomes NaN or infinite on the way.
  [[nodiscard]] bool is_finite(const Tensors& inputs) const;

  /// A line for each step, and the results.
  [[nodiscard]] std::string text() const;

  /// Inputs of the first or second size, in another layout or not. Others have other sizes.
  enum class Size { kFirst, kSecond };
  enum class Layout { kContiguous, kChannelsLast, kTransposed };
  [[nodiscard]] Tensors inputs(uint64_t seed, Size size = Size::kFirst,
                               Layout layout = Layout::kContiguous) const;
  /// Whether the module itself can run such inputs: view(), for one, cannot always.
  [[nodiscard]] bool can_run(Layout layout) const;

  [[nodiscard]] const std::vector<RandomStep>& steps() const { return steps_; }
  [[nodiscard]] std::size_t output_count() const { return outputs_.size(); }
  /// Whether result `i` depends on a value that was rounded, compared, sorted or the like.
  [[nodiscard]] bool is_rounded(std::size_t i) const { return rounded_.at(outputs_.at(i)); }

  /// Leaves out what `fails` does not need to be true of this module, which it is.
  void shrink(const std::function<bool()>& fails);

 private:
  friend class RandomModuleMaker;

  struct Input {
    std::vector<int64_t> sizes;        ///< of the first size
    std::vector<int64_t> other_sizes;  ///< of the second one
    torch::Dtype dtype = torch::kFloat32;
    int64_t count = 0;  ///< of the whole numbers that an input of these may have
  };

  /// The number under which each value is known: that of another one where a step passes it on.
  [[nodiscard]] std::vector<std::size_t> names() const;
  void add_noise(const torch::Tensor& result, const RandomNoise& noise,
                 at::Generator& random) const;
  [[nodiscard]] bool is_weight(const torch::Tensor& value) const;
  [[nodiscard]] Tensors values_for(const Tensors& inputs, RandomNoise noise) const;
  bool shrink_step(RandomStep& step, RandomStep::State to, const std::function<bool()>& fails);

  std::vector<Input> inputs_;
  std::vector<RandomStep> steps_;
  Tensors constants_;          ///< that are not registered
  std::vector<bool> rounded_;  ///< by value
  std::vector<std::size_t> outputs_;
  std::vector<bool> runs_in_;  ///< by layout
};

/// Thrown by an operator's maker where no value before it is one for it.
struct NoFit {};

/// What an operator's maker gets: values that stand before the new step, random choices, and a place
/// for weights. The maker asks for the arguments first, in the order in which its function takes them.
class Draw {
 public:
  struct Value {
    Tensors worlds;  ///< what it is for the inputs of the first size and the second one
    bool writable = false;
  };

  Draw(std::mt19937& random, const std::vector<Value>& values) : random_(random), values_(values) {}

  // ---- Choices.

  /// One of 0 to `count` - 1.
  int64_t pick(int64_t count) {
    return static_cast<int64_t>(random_() % static_cast<uint32_t>(count));
  }
  int64_t among(std::initializer_list<int64_t> numbers) {
    return *(numbers.begin() + pick(static_cast<int64_t>(numbers.size())));
  }
  bool chance(int64_t percent) { return pick(100) < percent; }
  /// One of 1 to `most` that divides `number`.
  int64_t divisor(int64_t number, int64_t most);
  static void require(bool fits) {
    if (!fits) throw NoFit();
  }

  // ---- Arguments. Sizes are those of the first world.

  using Fit = std::function<bool(const Value&)>;
  torch::Tensor argument(const Fit& fit);
  torch::Tensor any();                  ///< of any type
  torch::Tensor floats();               ///< float32 of one or more dimensions
  torch::Tensor floats(int64_t dim);    ///< float32 of so many dimensions
  torch::Tensor image();                ///< float32 [N, C, H, W]
  torch::Tensor writable(int64_t dim);  ///< float32 of so many dimensions or more
  torch::Tensor of(torch::Dtype dtype);
  /// float32 of the same sizes as argument 0, perhaps that one.
  torch::Tensor same_size();
  /// float32 that can be expanded to argument 0.
  torch::Tensor expandable();

  // ---- Weights.

  template <typename Holder>
  Holder keep(Holder module) {
    settle_weights(*module);
    modules.push_back(module.ptr());
    return module;
  }
  /// A parameter with numbers of about `scale`.
  torch::Tensor weight(const std::vector<int64_t>& sizes, double scale = 1);
  /// A tensor that the module keeps without registering it.
  torch::Tensor constant(torch::Tensor value);

  // ---- The step.

  void details(std::string text) { step.details = std::move(text); }
  void rounds() { step.rounds = true; }

  /// The step is a function of the tensors of its arguments that gives one tensor, or several.
  template <typename F>
  void returns(F function) {
    step.function = [function](const Tensors& v) mutable -> Tensors {
      if constexpr (std::is_convertible_v<decltype(function(v)), torch::Tensor>) {
        return {function(v)};
      } else {
        return function(v);
      }
    };
  }
  /// The same; it also writes to argument 0.
  template <typename F>
  void writes(F function) {
    step.writes = true;
    returns(std::move(function));
  }

  RandomStep step;
  std::vector<std::shared_ptr<torch::nn::Module>> modules;
  Tensors weights;
  Tensors constants;

 private:
  static void settle_weights(torch::nn::Module& module);

  std::mt19937& random_;
  const std::vector<Value>& values_;
};

}  // namespace support
