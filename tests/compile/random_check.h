#pragma once

#include <convkit/compile.h>

#include "compile/random_module.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace support {

/// One call of a compiled module, and what the module itself gives.
struct RandomCall {
  std::string name;  ///< "scale 100"
  Tensors inputs;
  Tensors expected;
  std::vector<Tensors> noisy;  ///< the module's results where other sums might lead it
  bool special = false;        ///< NaN or infinity come up: sums of these depend on their order
};

/// What a compiled module did that the module itself does not.
struct RandomFailure {
  std::string kind;     ///< "differs"
  std::string call;     ///< RandomCall::name
  std::string message;  ///< "by 0.3 where 1e-4 is allowed"

  /// The same text for failures that are alike.
  [[nodiscard]] std::string key() const;
};

/// A message without its numbers, as one line.
std::string without_numbers(const std::string& message);

/// Compiles a random module and compares its calls with the module's own.
class RandomCheck {
 public:
  /// With `only`, it makes no other call than that one, and that with the example.
  explicit RandomCheck(std::shared_ptr<RandomModule> module, std::string only = "");

  /// Nothing if all calls of the module, compiled for one example, are right.
  std::optional<RandomFailure> fails(bool onednn);

  /// The first plan of the last module that was compiled which oneDNN should have computed, and did not.
  [[nodiscard]] const std::optional<RandomFailure>& fallback() const { return fallback_; }
  /// Plans of the last module that was compiled.
  [[nodiscard]] const std::vector<convkit::PlanExplanation>& plans() const { return plans_; }

  /// Makes a module smaller that fails, as long as it fails alike.
  static void shrink(const std::shared_ptr<RandomModule>& module, bool onednn,
                     const RandomFailure& failure);

 private:
  using Failure = std::optional<RandomFailure>;

  void add_call(const std::string& name, const Tensors& inputs, bool special = false);
  void add_special_calls();
  [[nodiscard]] Failure check_call(const convkit::Compiled& fast, const RandomCall& call,
                                   bool onednn) const;
  [[nodiscard]] Failure check_result(const RandomCall& call, std::size_t i,
                                     const torch::Tensor& found) const;
  [[nodiscard]] bool is_near(const RandomCall& call, std::size_t i, const torch::Tensor& found,
                             std::string* why) const;

  std::shared_ptr<RandomModule> module_;
  std::string only_;
  std::vector<RandomCall> calls_;
  std::vector<convkit::PlanExplanation> plans_;
  std::optional<RandomFailure> fallback_;
};

}  // namespace support
