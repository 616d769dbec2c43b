#pragma once

#include "compile/engines/alternatives.h"
#include "compile/onednn/memory.h"
#include "compile/onednn/packed_weights.h"
#include "compile/onednn/program.h"

#include <string>
#include <utility>
#include <vector>

namespace convkit::detail {

/// Lowers a plan's steps, one by one, to primitives of oneDNN, or to LibTorch's operators where it has
/// none. The files lower_*.cpp do it for each family of operators: they say whether oneDNN can, and its
/// errors mean that it cannot.
class Lowering {
 public:
  using Desc = dnnl::memory::desc;

  Lowering(const Graph& plan, const Tensors& example, const EngineOptions& options);

  Program lower();

  [[nodiscard]] const Graph& plan() const { return plan_; }
  [[nodiscard]] const EngineOptions& options() const { return options_; }
  [[nodiscard]] int threads() const { return threads_; }
  [[nodiscard]] ProgramMemory& memory() { return memory_; }

  [[nodiscard]] const Value& value(int64_t id) const { return plan_.value(id); }
  [[nodiscard]] const Sizes& sizes(int64_t id) const { return plan_.value(id).sizes; }
  [[nodiscard]] bool is_constant(int64_t id) const {
    return value(id).kind == Value::Kind::kConstant;
  }
  [[nodiscard]] bool is_float(int64_t id) const { return value(id).dtype == torch::kFloat32; }

  // ---- Places.

  /// A value in a layout and type: where it is, or a copy.
  Slot as(int64_t id, const Sizes& strides, torch::Dtype dtype);
  /// A value in the layout and type that primitives compute in.
  Slot dense(int64_t id);
  /// Whether this step may put a result of these strides in the memory of `place`.
  [[nodiscard]] bool may_overwrite(const Slot& place, const Sizes& strides) const {
    return memory_.may_overwrite(place, strides, step_);
  }

  // ---- Commands.

  static Operand operand(int name, const Slot& place) {
    return operand(name, place, desc_of(place));
  }
  static Operand operand(int name, const Slot& place, const Desc& desc);
  static Operand operand(int name, PackedConstant constant);

  /// Explains a step whose result is at `result`.
  [[nodiscard]] static StepExplanation explanation_of(const Step& step, const Slot& result);
  [[nodiscard]] static StepExplanation explanation_of(std::string what, const Slot& result);

  void add_primitive(const dnnl::primitive& primitive, const Desc& scratchpad,
                     std::vector<Operand> operands, StepExplanation explanation);
  template <typename Descriptor>
  void add_primitive(const Descriptor& descriptor, const dnnl::primitive& primitive,
                     std::vector<Operand> operands, StepExplanation explanation) {
    explanation.how = descriptor.impl_info_str();
    add_primitive(primitive, descriptor.scratchpad_desc(), std::move(operands),
                  std::move(explanation));
  }
  /// Takes the constant that other plans have too.
  void share(Operand& operand) { shared_.share(operand); }
  /// Copies; without a text, the command before stands for it too.
  void add_copy(const Slot& from, const Slot& to, const std::string& what);
  template <typename What>
  void add_command(What what, StepExplanation explanation) {
    Command& next = program_.commands.emplace_back();
    next.what = std::move(what);
    next.explanation = std::move(explanation);
  }

  [[nodiscard]] std::size_t command_count() const { return program_.commands.size(); }
  /// The explanation of a command that there is.
  [[nodiscard]] StepExplanation& explanation_at(std::size_t command) {
    return program_.commands.at(command).explanation;
  }

  // ---- Choices.

  /// The name of the alternative that was chosen for a geometry; nothing before it was.
  [[nodiscard]] const std::string* choice(const std::string& key) const {
    const auto known = program_.choices.find(key);
    return known == program_.choices.end() ? nullptr : &known->second;
  }
  void keep_choice(const std::string& key, std::string name) {
    program_.choices.emplace(key, std::move(name));
  }
  /// How long alternatives may still be timed.
  [[nodiscard]] double& seconds_for_timing() { return seconds_for_timing_; }
  /// Says why LibTorch computes this step; false, as lower_*() are then.
  bool leave_to_torch(std::string why) {
    why_ = std::move(why);
    return false;
  }

  // ---- Steps.

  /// The step after this one, which lower_*() may take together with it; nothing after the last one.
  [[nodiscard]] const Step* next_step() const {
    return done_ < plan_.steps.size() ? &plan_.steps[done_] : nullptr;
  }
  void take_next_step() { ++done_; }

  /// Calls `f` with tensors for all values: the constants, and those that `f` puts there for the step.
  template <typename F>
  auto with_values(const Step& step, const F& f) {
    const struct Cleared {
      Lowering& lowering;
      const Step& step;
      ~Cleared() { lowering.clear_values(step); }
    } cleared{*this, step};
    return f(program_.constants);
  }

 private:
  bool try_to_lower(const Step& step, std::string* why);
  bool add_transposition(const Slot& from, const Slot& to, const std::string& what);
  void add_drops(const std::vector<std::vector<int64_t>>& last);
  void add_output(int64_t id);
  void clear_values(const Step& step);
  void count_weights();
  void drop_unused_constants();

  const Graph& plan_;
  EngineOptions options_;
  int threads_;
  ProgramMemory memory_;
  SharedConstants shared_;
  Program program_;
  double seconds_for_timing_ = 0.2;
  std::string why_;
  std::size_t step_ = 0;
  std::size_t done_ = 0;  ///< the steps before this one are lowered
};

/// Scratchpads are the program's.
dnnl::primitive_attr attributes();

/// Throws c10::Error, dnnl::error.
Program make_program(const Graph& plan, const Tensors& example, const EngineOptions& options);

}  // namespace convkit::detail
