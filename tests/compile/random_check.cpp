#include "compile/random_check.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <regex>
#include <utility>

namespace support {

using convkit::Compiled;
using torch::Tensor;

namespace {

/// What another order of sums changes in each step, relative to its result.
constexpr double kNoise = 1e-6;
/// What makes jumps likely that `kNoise` makes rare: for results that rounding makes jump.
constexpr double kMuchNoise = 1e-4;
/// A plan may be that much worse than what the noise changes.
constexpr double kTimesNoise = 30;
constexpr double kTolerance = 1e-4;  ///< relative to the largest number of a result
constexpr double kFlipped = 1e-3;    ///< the share of whole numbers that may be others

Tensors scaled(Tensors inputs, double factor) {
  for (Tensor& input : inputs) {
    if (input.is_floating_point()) input = input * factor;
  }
  return inputs;
}

/// How far two results are from each other: by the largest difference of numbers of floating point, else
/// by how many are others.
double distance_of(const Tensor& x, const Tensor& y) {
  const bool real = y.is_floating_point() || y.is_complex();
  if (!real) return (x != y).sum().to(torch::kDouble).item<double>();
  return (as_real(x) - as_real(y)).abs().max().item<double>();
}

/// The largest distance of results of noisy runs from the one without noise.
double change_of(const RandomCall& call, const std::vector<Tensors>& noisy, std::size_t i) {
  double change = 0;
  for (const Tensors& results : noisy) {
    const bool same = results[i].sizes() == call.expected[i].sizes();
    change = std::max(change, same ? distance_of(results[i], call.expected[i])
                                   : std::numeric_limits<double>::infinity());
  }
  return change;
}

/// Says that another engine than the one that was asked for computes a plan.
std::optional<RandomFailure> fallback_of(const convkit::PlanExplanation& plan,
                                         const RandomCall& call, bool onednn) {
  const std::string wanted = onednn ? "oneDNN" : "LibTorch's operators";
  const bool exact = plan.engine.find("own bits") != std::string::npos;
  if (plan.engine.starts_with(wanted) && !exact && !plan.fell_back) return std::nullopt;
  const std::string why = plan.remarks.empty() ? "" : ": " + plan.remarks.back();
  return RandomFailure{"falls back", call.name, plan.engine + why};
}

bool same_values(const Tensor& a, const Tensor& b) {
  return a.is_floating_point() ? at::allclose(a, b, 0, 0, true) : at::equal(a, b);
}

}  // namespace

std::string without_numbers(const std::string& message) {
  std::string line = message.substr(0, message.find('\n'));
  line = std::regex_replace(line, std::regex("\\[[-0-9, ]*\\]"), "[..]");
  line = std::regex_replace(line, std::regex("step[0-9_]+[mw][0-9]+"), "weight");
  line = std::regex_replace(line, std::regex("[-+]?[0-9]+(\\.[0-9]+)?(e[-+]?[0-9]+)?"), "#");
  return line.substr(0, 160);
}

std::string RandomFailure::key() const {
  const bool says_why = kind == "refused" || kind == "throws" || kind == "falls back";
  return says_why ? kind + ": " + without_numbers(message) : kind;
}

RandomCheck::RandomCheck(std::shared_ptr<RandomModule> module, std::string only)
    : module_(std::move(module)), only_(std::move(only)) {
  using Size = RandomModule::Size;
  using Layout = RandomModule::Layout;
  const torch::NoGradGuard no_grad;
  add_call("the example", module_->inputs(1));
  add_call("other values", module_->inputs(11));
  add_call("scale 1e-3", scaled(module_->inputs(12), 1e-3));
  add_call("scale 100", scaled(module_->inputs(13), 100));
  add_call("second size", module_->inputs(14, Size::kSecond));
  if (module_->can_run(Layout::kChannelsLast)) {
    add_call("channels_last", module_->inputs(15, Size::kFirst, Layout::kChannelsLast));
  }
  if (module_->can_run(Layout::kTransposed)) {
    add_call("transposed", module_->inputs(16, Size::kFirst, Layout::kTransposed));
  }
  add_special_calls();
}

void RandomCheck::add_call(const std::string& name, const Tensors& inputs, bool special) {
  const bool example = calls_.empty();
  if (!only_.empty() && name != only_ && !example) return;
  RandomCall call{name, inputs, {}, {}, special};
  try {
    for (const Tensor& result : module_->run(call.inputs)) call.expected.push_back(result.clone());
    call.special = special || !module_->is_finite(call.inputs);
    for (const uint64_t seed : {1, 2}) {
      if (!call.special) call.noisy.push_back(module_->run(call.inputs, {kNoise, seed}));
    }
  } catch (const c10::Error&) {  // the module itself refuses these, such as NaN in a matrix
    if (example) throw;
    return;
  }
  calls_.push_back(std::move(call));
}

/// Kernels for infinity differ by where in a vector it stands, even within LibTorch (gelu).
void RandomCheck::add_special_calls() {
  Tensors inputs = module_->inputs(17);
  inputs[0][0][0][2][3] = std::numeric_limits<float>::quiet_NaN();
  add_call("NaN", inputs, true);
  inputs = module_->inputs(18);
  inputs[0][-1][-1][4][1] = std::numeric_limits<float>::infinity();
  add_call("infinity", inputs, true);
}

RandomCheck::Failure RandomCheck::fails(bool onednn) {
  const torch::NoGradGuard no_grad;
  plans_.clear();
  fallback_.reset();
  const auto forward = [module = module_.get()](const Tensors& inputs) {
    return module->run(inputs);
  };
  convkit::CompileOptions options{.onednn = onednn, .timing = false};
  // Of some modules: other ways lead to such results.
  if (module_->steps().size() % 2 == 1) options.memory_format = torch::MemoryFormat::Contiguous;
  std::optional<Compiled> fast;
  try {
    fast = convkit::compile(module_, forward, calls_.front().inputs, options);
  } catch (const c10::Error& error) {
    return RandomFailure{"refused", "compile", error.what_without_backtrace()};
  }
  for (const RandomCall& call : calls_) {
    const Failure failure = check_call(*fast, call, onednn);
    plans_ = convkit::explain(*fast).plans;
    if (failure) return failure;
    if (!fallback_) fallback_ = fallback_of(plans_.front(), call, onednn);
    if (fallback_ && only_ == call.name) return fallback_;
  }
  return std::nullopt;
}

RandomCheck::Failure RandomCheck::check_call(const Compiled& fast, const RandomCall& call,
                                             bool onednn) const {
  Tensors kept;
  for (const Tensor& input : call.inputs) kept.push_back(input.clone());
  Tensors found;
  try {
    found = fast(call.inputs);
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    const bool refused = message.find("compile: ") != std::string::npos;
    return RandomFailure{refused ? "refused" : "throws", call.name, message};
  } catch (const std::exception& error) {
    return RandomFailure{"throws", call.name, error.what()};
  }
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (!same_values(kept[i], call.inputs[i])) {
      return RandomFailure{"writes", call.name, c10::str("to input ", i)};
    }
  }
  if (found.size() != call.expected.size()) {
    return RandomFailure{"count", call.name, c10::str(found.size(), " results")};
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    const bool of_size = found[i].sizes() == call.expected[i].sizes();
    if (!of_size || found[i].dtype() != call.expected[i].dtype()) {
      return RandomFailure{
          "size or type", call.name,
          c10::str("result ", i, " is ", found[i].toString(), found[i].sizes(), " not ",
                   call.expected[i].toString(), call.expected[i].sizes())};
    }
    if (call.special && (onednn || call.name != "NaN")) continue;  // oneDNN may drop NaN
    if (auto failure = check_result(call, i, found[i])) return failure;
  }
  return std::nullopt;
}

RandomCheck::Failure RandomCheck::check_result(const RandomCall& call, std::size_t i,
                                               const Tensor& found) const {
  const Tensor& expected = call.expected[i];
  const bool real = expected.is_floating_point() || expected.is_complex();
  if (call.special) {
    if (!real || module_->is_rounded(i)) return std::nullopt;
    const Tensor wanted = as_real(expected).isnan();
    const Tensor there = as_real(found).isnan();
    if (at::equal(wanted, there)) return std::nullopt;
    return RandomFailure{"NaN", call.name,
                         c10::str("result ", i, " has ", there.sum().item<int64_t>(), " NaN, not ",
                                  wanted.sum().item<int64_t>())};
  }
  std::string why;
  if (is_near(call, i, found, &why)) return std::nullopt;
  return RandomFailure{"differs", call.name, c10::str("result ", i, ' ', why)};
}

bool RandomCheck::is_near(const RandomCall& call, std::size_t i, const Tensor& found,
                          std::string* why) const {
  const Tensor& expected = call.expected[i];
  if (expected.numel() == 0) return true;
  const bool real = expected.is_floating_point() || expected.is_complex();
  const double scale = real ? as_real(expected).abs().max().item<double>() : 0;
  double tolerance =
      real ? kTolerance * scale + 1e-30 : kFlipped * static_cast<double>(expected.numel());
  if (real && expected.element_size() == 2)
    tolerance = 2e-2 * scale;  // a last bit of bfloat16, twice
  const double distance = distance_of(found, expected);
  double allowed = std::max(tolerance, kTimesNoise * change_of(call, call.noisy, i));
  if (distance <= allowed) return true;
  if (module_->is_rounded(i)) {
    std::vector<Tensors> noisy;
    for (uint64_t seed = 3; seed < 7; ++seed) {
      noisy.push_back(module_->run(call.inputs, {kMuchNoise, seed}));
    }
    allowed = std::max(allowed, kTimesNoise * change_of(call, noisy, i));
    if (distance <= allowed) return true;
  }
  *why = c10::str("of ", expected.toString(), expected.sizes(), " by ", distance, " where ",
                  allowed, " is allowed, of numbers up to ", scale);
  return false;
}

void RandomCheck::shrink(const std::shared_ptr<RandomModule>& module, bool onednn,
                         const RandomFailure& failure) {
  module->shrink([&] {
    try {
      const auto found = RandomCheck(module, failure.call).fails(onednn);
      return found && found->key() == failure.key();
    } catch (const std::exception&) {  // the module itself lacks something now
      return false;
    }
  });
}

}  // namespace support
