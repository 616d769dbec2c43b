#include "compile/proof.h"

#include "compile/tape/refusals.h"
#include "compile/tape/tape_recorder.h"
#include "core/strides.h"
#include "watch/operator_names.h"
#include "watch/scopes.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

namespace convkit::detail {

namespace {

bool is_float(const torch::Tensor& tensor) {
  return tensor.is_floating_point() || tensor.is_complex();
}

bool any_on_cuda(const Tensors& tensors) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [](const torch::Tensor& tensor) { return tensor.is_cuda(); });
}

// ---- Inputs of the same sizes, types and layouts with other values.

enum class Others : int {
  kRandom,   ///< normal ones; whole numbers in another order, or one more where they are all alike
  kOneLess,  ///< the same, or one less
  kSameIndices,  ///< the same, but whole numbers that are all alike stay, since they may be an index
  kNear,         ///< a tenth of noise on the example, for a module that takes no random numbers
};

torch::Tensor other_values(const torch::Tensor& input, Others kind, at::Generator& generator) {
  const auto options = input.options().device(torch::kCPU);
  if (is_float(input)) {
    const torch::Tensor noise = at::randn(input.sizes(), generator, options);
    return kind == Others::kNear ? input.cpu() * (1 + 0.1 * noise) : noise;
  }
  const torch::Tensor numbers = input.cpu().reshape(-1);
  const torch::Tensor order = at::randperm(input.numel(), generator, at::kLong);
  torch::Tensor values = numbers.index({order});
  const bool alike = at::equal(values, numbers);
  if (alike && kind == Others::kRandom) {
    values = input.scalar_type() == torch::kBool ? numbers.logical_not() : numbers + 1;
  }
  if (alike && kind == Others::kOneLess && input.scalar_type() != torch::kBool)
    values = numbers - 1;
  return values.view(input.sizes());
}

/// LibTorch's random state stays as it is.
Tensors other_values(const Tensors& inputs, Others kind) {
  at::Generator generator = at::detail::createCPUGenerator(20'240'229);
  Tensors results;
  for (const torch::Tensor& input : inputs) {
    results.push_back(at::empty_like(input).copy_(other_values(input, kind, generator)));
  }
  return results;
}

/// Floating point numbers times a scale.
Tensors scaled(const Tensors& inputs, const at::Scalar& scale) {
  Tensors results;
  for (const torch::Tensor& x : inputs) results.push_back(is_float(x) ? x * scale : x);
  return results;
}

/// Floating point numbers with a part of noise.
Tensors with_noise(const Tensors& inputs, double part) {
  at::Generator generator = at::detail::createCPUGenerator(20'240'301);
  Tensors results;
  for (const torch::Tensor& x : inputs) {
    const auto noise = [&] {
      return at::randn(x.sizes(), generator, x.options().device(torch::kCPU)).to(x.device());
    };
    results.push_back(is_float(x) ? at::empty_like(x).copy_(x * (1 + part * noise())) : x);
  }
  return results;
}

// ---- Comparison.

torch::Tensor real_numbers(const torch::Tensor& x) {
  if (x.is_complex()) return real_numbers(at::view_as_real(x.resolve_conj()));
  return x.element_size() < 4 ? x.to(torch::kFloat32) : x;
}

/// Numbers of which differences say something: finite ones, and not so large that a sum of two is not.
torch::Tensor comparable(const torch::Tensor& x) {
  return x.abs() < 1e37;
}

/// The largest difference where the expected numbers are comparable; NaN where only the found ones are not.
double largest_difference(const torch::Tensor& found, const torch::Tensor& expected) {
  const torch::Tensor difference = (real_numbers(found) - real_numbers(expected)).abs();
  return difference.masked_fill(comparable(real_numbers(expected)).logical_not(), 0)
      .max()
      .item<double>();
}

double scale_of(const torch::Tensor& expected) {
  const torch::Tensor numbers = real_numbers(expected);
  return numbers.abs().masked_fill(comparable(numbers).logical_not(), 0).max().item<double>();
}

/// Whether a result says something: it is not the same number everywhere.
bool is_alive(const torch::Tensor& y) {
  if (y.numel() == 0) return true;
  if (!is_float(y)) return y.numel() == 1 || y.ne(y.reshape(-1)[0]).any().item<bool>();
  const torch::Tensor numbers = real_numbers(y).reshape(-1);
  const torch::Tensor finite = numbers.masked_select(comparable(numbers));
  if (finite.numel() <= 1) return finite.numel() == 1 && finite.item<double>() != 0;
  return finite.ne(finite[0]).any().item<bool>();
}

/// The first place where a plan's numbers are not near enough; nothing where all are. `disturbed` are the module's for
/// inputs that differ a little.
std::optional<std::string> first_difference(const Tensors& found, const Tensors& expected,
                                            double tolerance,
                                            const std::vector<Tensors>& disturbed) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const torch::Tensor& y = expected[i];
    if (found[i].sizes() != y.sizes() || found[i].dtype() != y.dtype()) {
      return c10::str("the plan gives ", found[i].sizes(), ", the module ", y.sizes());
    }
    if (y.numel() == 0) continue;
    if (!is_float(y)) {
      if (at::equal(found[i], y)) continue;
      return "the plan gives other whole numbers than the module";
    }
    const double difference = largest_difference(found[i], y);
    double allowed = tolerance * scale_of(y);
    for (const Tensors& others : disturbed) {
      allowed = std::max(allowed, 10 * largest_difference(others[i], y));
    }
    if (difference <= allowed) continue;
    return c10::str("the plan's result differs from the module's by ", difference, " of ",
                    scale_of(y));
  }
  return std::nullopt;
}

/// Whether a plan gives a number where the module gives NaN.
bool hides_nan(const Tensors& found, const Tensors& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (!is_float(expected[i])) continue;
    const torch::Tensor hidden = expected[i].isnan().logical_and(found[i].isnan().logical_not());
    if (hidden.any().item<bool>()) return true;
  }
  return false;
}

/// A copy that lies as a value was recorded, or what follows could go wrong in the same way as in the plan. Of what
/// was expanded it has each number once.
torch::Tensor copied_as(const Value& value, torch::Tensor x) {
  for (int64_t i = 0; i < x.dim(); ++i) {
    const bool expanded = value.strides[static_cast<std::size_t>(i)] == 0;
    if (expanded && x.size(i) > 1) x = x.narrow(i, 0, 1);
  }
  const auto strides = dense_or_rows(x.sizes(), value.strides);
  return at::empty_strided(x.sizes(), strides, x.options().dtype(value.dtype))
      .copy_(x)
      .expand(value.sizes);
}

double seconds_of(const std::function<void()>& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> numbers) {
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

}  // namespace

Proof::Proof(const torch::nn::Module& module, const Forward& forward, const Tensors& inputs) {
  const KeepBuffers buffers(module);  // which a forward that is refused may have written to
  Trial example{inputs, {}};
  // Recorded on copies: a module that writes to its input is refused only after it has done so.
  tape_ = record_tape(module, forward, copies(inputs), &example.expected);
  trials_.push_back(recorded_with_others(module, forward, inputs));
  const Trial& others = trials_.front();
  // LibTorch's kernels may sum in another order at another address; on CUDA, cuDNN may choose another algorithm.
  const auto problem = first_difference(replay(tape_, copies(others.inputs)), others.expected,
                                        any_on_cuda(inputs) ? 1e-3 : kSameOperators, {});
  if (problem) refuse("the forward's operators alone do something else: " + *problem);
  if (std::any_of(inputs.begin(), inputs.end(), is_float)) {
    for (const double scale : {1e-3, 100.0}) add_scaled(scale);
  }
  trials_.push_back(std::move(example));
  find_dead_results();
}

Proof::Trial Proof::recorded_with_others(const torch::nn::Module& module, const Forward& forward,
                                         const Tensors& inputs) {
  const bool has_whole = !std::all_of(inputs.begin(), inputs.end(), is_float);
  for (const Others kind : {Others::kRandom, Others::kOneLess, Others::kSameIndices}) {
    if (kind != Others::kRandom && !has_whole) continue;
    if (kind == Others::kSameIndices) {
      remarks_.emplace_back("whole numbers of the inputs that are all alike were not varied");
    }
    Trial trial{other_values(inputs, kind), {}};
    try {
      check_same(tape_, record_tape(module, forward, copies(trial.inputs), &trial.expected));
      return trial;
    } catch (const Refusal&) {
      throw;
    } catch (...) {  // the module does not take such numbers
    }
  }
  Trial trial{other_values(inputs, Others::kNear), {}};
  check_same(tape_, record_tape(module, forward, copies(trial.inputs), &trial.expected));
  return trial;
}

void Proof::add_scaled(double scale) {
  Trial trial{scaled(trials_.front().inputs, scale), {}};
  try {
    const Tensors given = copies(trial.inputs);
    const double seconds = seconds_of([&] { trial.expected = replay(tape_, given); });
    fastest_replay_ = std::min(fastest_replay_, seconds);
  } catch (const c10::Error&) {
    return;  // the module does not take such numbers
  }
  trials_.push_back(std::move(trial));
}

void Proof::find_dead_results() {
  for (std::size_t i = 0; i < tape_.outputs.size(); ++i) {
    const bool lives = std::any_of(trials_.begin(), trials_.end(), [&](const Trial& trial) {
      return is_alive(trial.expected.at(i));
    });
    if (lives) continue;
    remarks_.push_back(c10::str("result ", i,
                                " is one number, or none, for all inputs that were tried: "
                                "of it nothing is proven"));
  }
}

double Proof::check(Engine& engine, const Accuracy& accuracy) const {
  const bool exact = accuracy.rounding == 0;
  double fastest = std::numeric_limits<double>::infinity();
  for (const Trial& trial : trials_) {
    Taps taps;
    Tensors found;
    const double seconds =
        seconds_of([&] { found = run(engine, trial.inputs, exact ? nullptr : &taps); });
    fastest = std::min(fastest, seconds);
    auto problem = first_difference(found, trial.expected, accuracy.tolerance, {});
    if (problem && !exact) {
      Tensors all;
      for (const auto& [place, given] : taps) all.insert(all.end(), given.begin(), given.end());
      all.insert(all.end(), found.begin(), found.end());
      problem = difference_by_parts(trial.inputs, all, taps, accuracy);
    }
    // Random numbers may be what a module never sees, as those below 0 of a root. The example is not.
    if (!problem && &trial == &trials_.back() && hides_nan(found, trial.expected)) {
      problem = "the plan gives numbers where the module gives NaN for the example";
    }
    TORCH_CHECK(!problem, "compile: ", problem.value_or(""));
  }
  return fastest / fastest_replay_;
}

/// The same where each part of the program, from one operator that is tapped to the next, is held to what the
/// module's operators make of the plan's own numbers, and of inputs that differ a little.
std::optional<std::string> Proof::difference_by_parts(const Tensors& inputs, const Tensors& found,
                                                      const Taps& taps,
                                                      const Accuracy& accuracy) const {
  const Tensors expected = reference(inputs, taps);
  if (!first_difference(found, expected, accuracy.tolerance, {})) return std::nullopt;
  // An average takes noise out again, but not the rounding of its own sum, which is as if all numbers were larger.
  const double part = accuracy.rounding;
  return first_difference(
      found, expected, accuracy.tolerance,
      {reference(with_noise(inputs, part), taps), reference(scaled(inputs, 1 + part), taps),
       reference(scaled(inputs, 1 - part), taps)});
}

double Proof::distance(Engine& engine) const {
  double largest = 0;
  for (const Trial& trial : trials_) {
    const Tensors found = engine.run(trial.inputs);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const torch::Tensor& y = trial.expected[i];
      if (y.numel() == 0 || !is_float(y)) continue;
      const double scale = scale_of(y);
      if (scale > 0) largest = std::max(largest, largest_difference(found[i], y) / scale);
    }
  }
  return largest;
}

double Proof::relative_time(Engine& engine) const {
  const Tensors& inputs = trials_.front().inputs;
  std::vector<double> fast;
  std::vector<double> plain;
  double total = 0;
  do {
    fast.push_back(seconds_of([&] { engine.run(inputs); }));
    plain.push_back(seconds_of([&] { replay(tape_, inputs); }));
    total += fast.back() + plain.back();
  } while (fast.size() < 3 || (total < 0.02 && fast.size() < 31));
  return median(fast) / median(plain);
}

/// Whether small differences of what an operator is given may become large ones.
bool Proof::is_tapped(const Operation& operation) const {
  if (operation.place < 0) return false;
  const Operation& recorded = tape_.operations.at(static_cast<std::size_t>(operation.place));
  const auto value = [&](int64_t id) -> const Value& {
    return tape_.values.at(static_cast<std::size_t>(id));
  };
  bool steady = is_steady(plain_name(recorded.name()));
  for (const int64_t id : recorded.outputs) {
    if (id < 0) continue;
    steady &= c10::isFloatingType(value(id).dtype) || c10::isComplexType(value(id).dtype);
    for (const Argument& argument : recorded.arguments) {  // a view gives the same numbers
      for (const int64_t input : argument.values) {
        const bool view = input >= 0 && value(input).storage == value(id).storage;
        if (view && recorded.written.empty()) return false;
      }
    }
  }
  return !steady;
}

/// Whether a value depends on the inputs. Others are the same in the plan, and may be of any size.
bool Proof::varies(int64_t id) const {
  return id >= 0 && tape_.values.at(static_cast<std::size_t>(id)).tainted;
}

/// Runs an engine, and keeps what it gives the operators that are tapped.
Tensors Proof::run(Engine& engine, const Tensors& inputs, Taps* taps) const {
  if (taps == nullptr) return engine.run(inputs);
  const Watch watch = [&](const Operation& operation, const std::vector<torch::Tensor>& values) {
    if (!is_tapped(operation)) return;
    const Operation& recorded = tape_.operations.at(static_cast<std::size_t>(operation.place));
    Tensors given;
    for (std::size_t i = 0; i < recorded.arguments.size(); ++i) {
      const auto& ids = recorded.arguments[i].values;
      for (std::size_t k = 0; k < ids.size(); ++k) {
        if (!varies(ids[k])) continue;
        const torch::Tensor& x =
            values.at(static_cast<std::size_t>(operation.arguments.at(i).values.at(k)));
        const Value& value = tape_.values.at(static_cast<std::size_t>(ids[k]));
        if (x.sizes() != value.sizes) return;  // a pass has moved the operator
        given.push_back(copied_as(value, x));
      }
    }
    taps->emplace(operation.place, std::move(given));
  };
  return engine.run(inputs, &watch);
}

/// What the module's operators make of `inputs`, where each that is tapped takes what the plan gave it: first
/// what it would have taken else, in the order of the taps, then the results.
Tensors Proof::reference(const Tensors& inputs, const Taps& taps) const {
  Tensors found;
  const Caller caller = [&](const Operation& operation, std::vector<torch::Tensor>& values) {
    const auto tap = taps.find(operation.place);
    if (tap == taps.end()) return call(operation, values);
    std::vector<std::pair<int64_t, torch::Tensor>> own;
    std::size_t next = 0;
    for (const Argument& argument : operation.arguments) {
      for (const int64_t id : argument.values) {
        if (!varies(id)) continue;
        torch::Tensor& tensor = tensor_at(values, id);
        const torch::Tensor& given = tap->second.at(next++);
        found.push_back(tensor.clone());
        if (operation.written.empty()) {
          own.emplace_back(id, std::exchange(tensor, given));
        } else if (!may_overlap(tensor.sizes(), tensor.strides())) {
          tensor.copy_(given);
        }
      }
    }
    call(operation, values);
    while (!own.empty()) {  // backwards: an operator may take a value twice
      tensor_at(values, own.back().first) = std::move(own.back().second);
      own.pop_back();
    }
  };
  const Tensors outputs = replay(tape_, copies(inputs), caller);
  found.insert(found.end(), outputs.begin(), outputs.end());
  return found;
}

}  // namespace convkit::detail
