#include "compile/random_module.h"

#include "compile/random_operators.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

namespace support {

using torch::Tensor;

namespace {

constexpr int64_t kMostElements = 6000;

double largest(const Tensor& x) {
  return as_real(x).abs().max().item<double>();
}

/// Whether a result says something about what it was computed of.
bool is_alive(const Tensor& x) {
  if (!x.defined() || x.numel() == 0 || x.numel() > kMostElements || x.dim() > 6) return false;
  const Tensor real = as_real(x);
  if (!real.isfinite().all().item<bool>()) return false;
  const double most = real.abs().max().item<double>();
  if (x.is_floating_point() && (most < 1e-4 || most > 1e4)) return false;
  return x.numel() == 1 || (real.max() - real.min()).item<double>() > 1e-3 * most;
}

struct Families {
  std::vector<std::pair<int64_t, RandomOperators>> all{
      {34, layer_operators()}, {18, image_operators()}, {16, memory_operators()},
      {10, write_operators()}, {14, math_operators()},  {8, index_operators()}};
};

const RandomOperator& drawn_operator(std::mt19937& random) {
  static const Families families;
  auto number = static_cast<int64_t>(random() % 100);  // what the first numbers sum up to
  for (const auto& [percent, operators] : families.all) {
    if (number < percent) return operators[random() % operators.size()];
    number -= percent;
  }
  return families.all.front().second.front();
}

}  // namespace

Tensor as_real(const Tensor& x) {
  const Tensor real = x.is_complex() ? at::view_as_real(x.resolve_conj()) : x;
  return real.to(torch::kDouble);
}

// ---- Draw.

int64_t Draw::divisor(int64_t number, int64_t most) {
  std::vector<int64_t> found;
  for (int64_t i = 1; i <= std::min(number, most); ++i) {
    if (number % i == 0) found.push_back(i);
  }
  require(!found.empty());
  return found[static_cast<std::size_t>(pick(static_cast<int64_t>(found.size())))];
}

Tensor Draw::argument(const Fit& fit) {
  std::vector<std::size_t> fitting;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (fit(values_[i])) fitting.push_back(i);
  }
  require(!fitting.empty());
  const auto count = static_cast<int64_t>(fitting.size());
  const std::size_t number =
      chance(60) ? fitting.back() : fitting[static_cast<std::size_t>(pick(count))];
  step.arguments.push_back(number);
  return values_[number].worlds.front();
}

Tensor Draw::any() {
  return argument([](const Value&) { return true; });
}

Tensor Draw::of(torch::Dtype dtype) {
  return argument([=](const Value& value) { return value.worlds[0].scalar_type() == dtype; });
}

Tensor Draw::floats() {
  return argument([](const Value& value) {
    return value.worlds[0].scalar_type() == torch::kFloat && value.worlds[0].dim() > 0;
  });
}

Tensor Draw::floats(int64_t dim) {
  return argument([=](const Value& value) {
    return value.worlds[0].scalar_type() == torch::kFloat && value.worlds[0].dim() == dim;
  });
}

Tensor Draw::image() {
  return floats(4);
}

Tensor Draw::writable(int64_t dim) {
  return argument([=](const Value& value) {
    return value.writable && value.worlds[0].scalar_type() == torch::kFloat &&
           value.worlds[0].dim() >= dim;
  });
}

Tensor Draw::same_size() {
  const Tensors& first = values_.at(step.arguments.at(0)).worlds;
  return argument([&](const Value& value) {
    return value.worlds[0].scalar_type() == torch::kFloat &&
           value.worlds[0].sizes() == first[0].sizes() &&
           value.worlds[1].sizes() == first[1].sizes();
  });
}

Tensor Draw::expandable() {
  const Tensors& first = values_.at(step.arguments.at(0)).worlds;
  return argument([&](const Value& value) {
    for (std::size_t i = 0; i < first.size(); ++i) {
      const Tensor& x = value.worlds[i];
      if (x.scalar_type() != torch::kFloat || !at::is_expandable_to(x.sizes(), first[i].sizes())) {
        return false;
      }
    }
    return true;
  });
}

Tensor Draw::weight(const std::vector<int64_t>& sizes, double scale) {
  return weights.emplace_back(at::randn(sizes) * scale);
}

Tensor Draw::constant(Tensor value) {
  return constants.emplace_back(std::move(value));
}

/// Statistics and affine parameters of their own, so that no folded number is 0 or 1.
void Draw::settle_weights(torch::nn::Module& module) {
  for (auto& buffer : module.named_buffers()) {
    if (buffer.key().ends_with("running_mean")) buffer.value().normal_(0, 0.2);
    if (buffer.key().ends_with("running_var")) buffer.value().uniform_(0.5, 1.5);
  }
  for (auto& parameter : module.named_parameters()) {
    if (parameter.value().dim() != 1) continue;
    if (parameter.key().ends_with("bias")) {
      parameter.value().normal_(0, 0.2);
    } else {
      parameter.value().uniform_(0.5, 1.5);
    }
  }
  module.eval();
}

// ---- Making a module.

/// Adds steps to a module, each tried on inputs of both sizes.
class RandomModuleMaker {
 public:
  RandomModuleMaker(RandomModule& module, uint32_t seed) : module_(module), random_(seed) {}

  void make(std::size_t most_steps) {
    add_inputs();
    careful_ = random_() % 2 == 0;
    const std::size_t wanted = 5 + random_() % 26;
    for (int64_t failures = 0; module_.steps_.size() < std::min(wanted, most_steps);) {
      if (!add_step() && ++failures > 1000) break;
    }
    choose_outputs();
    using Layout = RandomModule::Layout;
    for (const Layout layout : {Layout::kContiguous, Layout::kChannelsLast, Layout::kTransposed}) {
      module_.runs_in_.push_back(runs_in(layout));
    }
  }

 private:
  int64_t pick(int64_t count) {
    return static_cast<int64_t>(random_() % static_cast<uint32_t>(count));
  }

  void add_inputs() {
    const std::vector<int64_t> batch{1 + pick(3), 1 + pick(3)};
    const std::vector<int64_t> height{6 + pick(7), 5 + pick(10)};
    const std::vector<int64_t> width{6 + pick(7), 5 + pick(10)};
    const auto add = [&](auto sizes_of, torch::Dtype dtype, int64_t count) {
      module_.inputs_.push_back({sizes_of(0), sizes_of(1), dtype, count});
    };
    const auto image_of = [&](int64_t channels) {
      return [=](std::size_t i) -> std::vector<int64_t> {
        return {batch[i], channels, height[i], width[i]};
      };
    };
    const int64_t channels = 2 + pick(7);
    add(image_of(channels), torch::kFloat32, 0);
    if (pick(4) == 0) add(image_of(pick(2) == 0 ? channels : 1 + pick(8)), torch::kFloat32, 0);
    if (pick(5) == 0) {
      add([&](std::size_t i) -> std::vector<int64_t> { return {batch[i], 5}; }, torch::kFloat32, 0);
    }
    if (pick(4) == 0) {
      const auto labels = [&](std::size_t i) -> std::vector<int64_t> {
        return {batch[i], height[i], width[i]};
      };
      add(labels, torch::kLong, 4);
    }
    if (pick(4) == 0) add(image_of(1), torch::kBool, 2);
    replay();
  }

  /// Makes all values anew, as a step that was tried may have written to some.
  void replay() {
    using Size = RandomModule::Size;
    values_.clear();
    const Tensors first = values_for(module_.inputs(1, Size::kFirst));
    const Tensors second = values_for(module_.inputs(2, Size::kSecond));
    for (std::size_t i = 0; i < first.size(); ++i) {
      values_.push_back({{first[i], second[i]}, is_writable(first, i) && is_writable(second, i)});
    }
  }

  [[nodiscard]] Tensors values_for(const Tensors& inputs) const {
    Tensors values = inputs;
    for (const RandomStep& step : module_.steps_) {
      const Tensors results = results_of(step, values);
      values.insert(values.end(), results.begin(), results.end());
    }
    return values;
  }

  static Tensors results_of(const RandomStep& step, const Tensors& values) {
    Tensors arguments;
    for (const std::size_t i : step.arguments) arguments.push_back(values.at(i));
    return step.function(arguments);
  }

  [[nodiscard]] bool is_writable(const Tensors& values, std::size_t i) const {
    for (std::size_t k = 0; k < module_.inputs_.size(); ++k) {
      if (values[i].is_alias_of(values[k])) return false;
    }
    return !module_.is_weight(values[i]);
  }

  /// Whether the module as it is can be given inputs in a layout, and leaves them alone.
  [[nodiscard]] bool runs_in(RandomModule::Layout layout) const {
    const Tensors inputs = module_.inputs(3, RandomModule::Size::kFirst, layout);
    try {
      Tensors values = inputs;
      for (const RandomStep& step : module_.steps_) {
        if (step.writes && !is_writable(values, step.arguments.at(0))) return false;
        const Tensors results = results_of(step, values);
        values.insert(values.end(), results.begin(), results.end());
      }
    } catch (const c10::Error&) {
      return false;
    }
    return true;
  }

  bool add_step() {
    const RandomOperator& chosen = drawn_operator(random_);
    Draw draw(random_, values_);
    draw.step.name = chosen.name;
    torch::manual_seed(random_());
    try {
      chosen.draw(draw);
      if (try_step(draw)) return true;
    } catch (const NoFit&) {
      return false;
    } catch (const c10::Error&) {
      // LibTorch does not take such arguments.
    }
    if (draw.step.writes) replay();
    return false;
  }

  bool try_step(Draw& draw) {
    RandomStep& step = draw.step;
    std::vector<Tensors> results;
    for (std::size_t world = 0; world < 2; ++world) {
      Tensors arguments;
      for (const std::size_t i : step.arguments) arguments.push_back(values_[i].worlds[world]);
      results.push_back(step.function(arguments));
      if (!std::all_of(results.back().begin(), results.back().end(), is_alive)) return false;
    }
    if (results[0].size() != results[1].size()) return false;
    step.first_result = values_.size();
    step.result_count = results[0].size();
    register_weights(draw);
    module_.steps_.push_back(step);
    if (careful_ && (!runs_in(RandomModule::Layout::kChannelsLast) ||
                     !runs_in(RandomModule::Layout::kTransposed))) {
      module_.steps_.pop_back();
      return false;
    }
    note_rounding(step);
    for (std::size_t i = 0; i < step.result_count; ++i) {
      values_.push_back({{results[0][i], results[1][i]}, false});
      const std::size_t number = values_.size() - 1;
      values_.back().writable = is_writable(world(0), number) && is_writable(world(1), number);
    }
    if (step.result_count == 1) settle(step.first_result);
    return true;
  }

  [[nodiscard]] Tensors world(std::size_t number) const {
    Tensors result;
    for (const Draw::Value& value : values_) result.push_back(value.worlds[number]);
    return result;
  }

  void register_weights(const Draw& draw) {
    const std::string name =
        "step" + std::to_string(module_.steps_.size()) + "_" + std::to_string(names_++) + "_";
    for (std::size_t i = 0; i < draw.modules.size(); ++i) {
      module_.register_module(name + "m" + std::to_string(i), draw.modules[i]);
    }
    for (std::size_t i = 0; i < draw.weights.size(); ++i) {
      module_.register_parameter(name + "w" + std::to_string(i), draw.weights[i], false);
    }
    for (const Tensor& constant : draw.constants) module_.constants_.push_back(constant);
  }

  /// Notes that jumps may come from the new step, in all that shares memory with what it writes.
  void note_rounding(const RandomStep& step) {
    auto& rounded = module_.rounded_;
    rounded.resize(values_.size(), false);
    bool rounds = step.rounds;
    for (const std::size_t i : step.arguments) rounds = rounds || rounded[i];
    rounded.resize(values_.size() + step.result_count, rounds);
    if (!step.writes || !rounds) return;
    const Tensor& written = values_[step.arguments.at(0)].worlds[0];
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (values_[i].worlds[0].is_alias_of(written)) rounded[i] = true;
    }
  }

  /// Adds a step that brings a value back to about 1.
  void settle(std::size_t number) {
    const Tensor& x = values_[number].worlds[0];
    if (!x.is_floating_point() && !x.is_complex()) return;
    const double most = largest(x);
    if (most > 0.2 && most < 6) return;
    const double factor = std::pow(2.0, -std::round(std::log2(most)));
    RandomStep step;
    step.name = "mul";
    step.details = "by " + std::to_string(factor);
    step.arguments = {number};
    step.function = [factor](const Tensors& v) { return Tensors{v[0] * factor}; };
    step.first_result = values_.size();
    step.result_count = 1;
    Draw::Value value;
    for (const Tensor& of_world : values_[number].worlds) value.worlds.push_back(of_world * factor);
    value.writable = true;
    note_rounding(step);
    module_.steps_.push_back(step);
    values_.push_back(std::move(value));
  }

  void choose_outputs() {
    std::mt19937 random(random_());
    std::vector<bool> used(values_.size(), false);
    for (const RandomStep& step : module_.steps_) {
      for (const std::size_t i : step.arguments) used[i] = true;
    }
    auto& outputs = module_.outputs_;
    auto& rounded = module_.rounded_;
    rounded.resize(values_.size(), false);
    const auto choose = [&](std::size_t i) {
      const bool known = std::find(outputs.begin(), outputs.end(), i) != outputs.end();
      if (!known && outputs.size() < 5) outputs.push_back(i);
    };
    const std::size_t inputs = module_.inputs_.size();
    for (std::size_t i = values_.size(); i-- > inputs;) {
      if (i + 1 == values_.size() || random() % 100 < (used[i] ? 6 : 50)) choose(i);
    }
    for (std::size_t i = values_.size(); i-- > inputs;) {  // one that no rounding makes jump
      if (rounded[i] || !values_[i].worlds[0].is_floating_point()) continue;
      choose(i);
      break;
    }
    if (random() % 30 == 0) choose(0);
    std::reverse(outputs.begin(), outputs.end());
  }

  RandomModule& module_;
  std::mt19937 random_;
  std::vector<Draw::Value> values_;
  bool careful_ = false;  ///< the module can be given inputs in all layouts
  int64_t names_ = 0;
};

// ---- The module.

RandomModule::RandomModule(uint32_t seed, std::size_t most_steps)
    : torch::nn::Module("RandomModule") {
  const torch::NoGradGuard no_grad;
  RandomModuleMaker(*this, seed).make(most_steps);
  eval();
}

Tensors RandomModule::inputs(uint64_t seed, Size size, Layout layout) const {
  at::Generator random = at::detail::createCPUGenerator(seed);
  Tensors results;
  for (const Input& input : inputs_) {
    const auto& sizes = size == Size::kFirst ? input.sizes : input.other_sizes;
    if (input.dtype != torch::kFloat32) {
      results.push_back(at::randint(0, input.count, sizes, random, input.dtype));
      continue;
    }
    const Tensor x = at::randn(sizes, random);
    if (x.dim() != 4 || layout == Layout::kContiguous) {
      results.push_back(x);
    } else if (layout == Layout::kChannelsLast) {
      results.push_back(x.contiguous(torch::MemoryFormat::ChannelsLast));
    } else {
      results.push_back(x.transpose(1, 3).contiguous().transpose(1, 3));
    }
  }
  return results;
}

bool RandomModule::can_run(Layout layout) const {
  return runs_in_.at(static_cast<std::size_t>(layout));
}

Tensors RandomModule::values_for(const Tensors& inputs, RandomNoise noise) const {
  at::Generator random = at::detail::createCPUGenerator(noise.seed);
  Tensors values = inputs;
  if (noise.relative > 0) {
    for (Tensor& value : values) add_noise(value = value.clone(), noise, random);
  }
  for (const RandomStep& step : steps_) {
    Tensors arguments;
    for (const std::size_t i : step.arguments) arguments.push_back(values.at(i));
    values.resize(step.first_result + step.result_count);
    if (step.state == RandomStep::State::kGone) continue;
    for (const Tensor& argument : arguments) {
      TORCH_CHECK(argument.defined(), step.name, " needs a value that is gone");
    }
    const bool passes = step.state == RandomStep::State::kPasses;
    const Tensors results = passes ? Tensors{arguments.at(0)} : step.function(arguments);
    for (std::size_t i = 0; i < results.size(); ++i) {
      values.at(step.first_result + i) = results[i];
      if (noise.relative > 0 && !passes) add_noise(results[i], noise, random);
    }
  }
  return values;
}

Tensors RandomModule::run(const Tensors& inputs, RandomNoise noise) const {
  const Tensors values = values_for(inputs, noise);
  Tensors results;
  for (const std::size_t i : outputs_) {
    TORCH_CHECK(values.at(i).defined(), "a result is gone");
    results.push_back(values[i]);
  }
  return results;
}

bool RandomModule::is_finite(const Tensors& inputs) const {
  const Tensors values = values_for(inputs, {});
  return std::all_of(values.begin(), values.end(), [](const Tensor& value) {
    return !value.defined() || as_real(value).isfinite().all().item<bool>();
  });
}

/// A relative change of each number, and a smaller one relative to the largest number: as sums in
/// another order make it. What is exactly 0 mostly stays so.
void RandomModule::add_noise(const Tensor& result, const RandomNoise& noise,
                             at::Generator& random) const {
  const bool fits = result.is_floating_point() && result.element_size() >= 4 &&
                    result.numel() > 0 && result.is_non_overlapping_and_dense();
  if (!fits || is_weight(result)) return;
  const Tensor scale = result.abs() + 0.2 * result.abs().max() * (result != 0);
  result.add_(at::randn(result.sizes(), random, result.options()) * scale * noise.relative);
}

bool RandomModule::is_weight(const Tensor& value) const {
  const auto shares = [&](const Tensor& weight) { return value.is_alias_of(weight); };
  const auto weights = parameters();
  const auto held = buffers();
  return std::any_of(weights.begin(), weights.end(), shares) ||
         std::any_of(held.begin(), held.end(), shares) ||
         std::any_of(constants_.begin(), constants_.end(), shares);
}

std::vector<std::size_t> RandomModule::names() const {
  std::vector<std::size_t> names(inputs_.size());
  std::iota(names.begin(), names.end(), std::size_t{0});
  for (const RandomStep& step : steps_) {
    for (std::size_t i = 0; i < step.result_count; ++i) names.push_back(step.first_result + i);
    if (step.state == RandomStep::State::kPasses) {
      names[step.first_result] = names[step.arguments.at(0)];
    }
  }
  return names;
}

std::string RandomModule::text() const {
  const std::vector<std::size_t> name = names();
  std::ostringstream text;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    text << "v" << i << " = input " << torch::IntArrayRef(inputs_[i].sizes) << " or "
         << torch::IntArrayRef(inputs_[i].other_sizes) << ' ' << c10::toString(inputs_[i].dtype)
         << '\n';
  }
  for (const RandomStep& step : steps_) {
    if (step.state != RandomStep::State::kRuns) continue;
    for (std::size_t i = 0; i < step.result_count; ++i) {
      text << (i == 0 ? "v" : ", v") << step.first_result + i;
    }
    text << " = " << step.name << '(';
    for (std::size_t i = 0; i < step.arguments.size(); ++i) {
      text << (i == 0 ? "v" : ", v") << name[step.arguments[i]];
    }
    text << ')' << (step.details.empty() ? "" : "  " + step.details);
    text << (step.writes ? "  writes\n" : "\n");
  }
  text << "return";
  for (const std::size_t i : outputs_) text << " v" << name[i];
  return text.str();
}

bool RandomModule::shrink_step(RandomStep& step, RandomStep::State to,
                               const std::function<bool()>& fails) {
  const RandomStep::State before = step.state;
  step.state = to;
  if (fails()) return true;
  step.state = before;
  return false;
}

void RandomModule::shrink(const std::function<bool()>& fails) {
  const std::vector<std::size_t> all = outputs_;
  for (const std::size_t one : all) {
    outputs_ = {one};
    if (fails()) break;
    outputs_ = all;
  }
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (std::size_t i = steps_.size(); i-- > 0;) {
      RandomStep& step = steps_[i];
      if (step.state == RandomStep::State::kGone) continue;
      smaller |= shrink_step(step, RandomStep::State::kGone, fails);
      if (step.state == RandomStep::State::kRuns && step.result_count == 1) {
        smaller |= shrink_step(step, RandomStep::State::kPasses, fails);
      }
    }
  }
}

}  // namespace support
