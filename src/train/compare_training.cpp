#include <convkit/compare_training.h>

#include "compare/recorded.h"
#include "compare/recording_file.h"
#include "compare/rows.h"
#include "files/file.h"
#include "train/optimizer_of.h"

#include <ATen/ops/mse_loss.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

namespace convkit {

namespace {

using Row = ComparisonRow;
using Tensors = std::vector<torch::Tensor>;

/// Runs one training again.
class Trainer {
 public:
  Trainer(torch::nn::Module& module, ForwardFunction forward, const Recording& recording,
          double tolerance)
      : module_(module),
        forward_(std::move(forward)),
        recording_(recording),
        recorded_(*recording.steps),
        tolerance_(tolerance),
        optimizer_(optim::detail::make_optimizer(recorded_.optimizer, module.parameters(),
                                                 recorded_.options)) {
    result_.steps = static_cast<int64_t>(recorded_.inputs.size());
  }

  TrainingComparison run() {
    detail::load_weights(module_, recording_);
    module_.train();
    try {
      for (step_ = 1; step_ <= result_.steps && !result_.measured_step; ++step_) take_step();
    } catch (const c10::Error& error) {
      differ("", std::string("it throws: ") + error.what_without_backtrace());
    } catch (const std::exception& error) {
      differ("", std::string("it throws: ") + error.what());
    }
    module_.eval();
    result_.equal = !result_.first_step;
    return std::move(result_);
  }

 private:
  void take_step() {
    const torch::Tensor own = loss();
    const torch::Tensor expected = recorded_.losses[step_ - 1];
    if (!agrees(own, expected)) {
      differ("loss", c10::str(own.item<double>(), " instead of ", expected.item<double>()));
    }
    own.backward();
    optimizer_->step();
    const torch::NoGradGuard no_grad;
    const StateDict state = state_dict(module_);
    if (tolerance_ == 0 && !result_.first_step) compare_hashes(state);
    const auto whole = recorded_.states.find(step_);
    if (whole != recorded_.states.end()) compare_tensors(state, whole->second);
  }

  /// The loss of the step, with its graph.
  torch::Tensor loss() {
    const auto i = static_cast<std::size_t>(step_ - 1);
    optimizer_->zero_grad();
    torch::manual_seed(static_cast<uint64_t>(recording_.seed) + 1 + static_cast<uint64_t>(step_));
    Tensors inputs = detail::copied(recorded_.inputs[i]);
    if (recording_.memory_format == "channels_last") {
      for (torch::Tensor& x : inputs) {
        if (x.dim() == 4) x = x.to(x.options().memory_format(torch::MemoryFormat::ChannelsLast));
      }
    }
    const Tensors outputs = forward_(inputs);
    const Recording::Tensors& targets = recorded_.targets[i];
    TORCH_CHECK_VALUE(outputs.size() == targets.size(), "expected ", targets.size(),
                      " tensor(s) of the module, got ", outputs.size());
    torch::Tensor sum;
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      const torch::Tensor& target = targets[k].second;
      TORCH_CHECK_VALUE(outputs[k].sizes() == target.sizes(), "expected an output of shape ",
                        target.sizes(), ", got ", outputs[k].sizes());
      const torch::Tensor one = at::mse_loss(outputs[k], target);
      sum = k == 0 ? one : sum + one;
    }
    return sum;
  }

  void compare_hashes(const StateDict& state) {
    for (const auto& entry : state) {
      const torch::Tensor* expected = recorded_.hashes.find(entry.key());
      if (expected == nullptr) continue;
      if (detail::hash(entry.value()) != (*expected)[step_ - 1].item<int64_t>()) {
        differ(entry.key(), "");
      }
    }
  }

  void compare_tensors(const StateDict& state, const StateDict& expected) {
    for (const auto& entry : state) {
      const torch::Tensor* tensor = expected.find(entry.key());
      TORCH_CHECK_VALUE(tensor != nullptr, "expected the recording to have ",
                        detail::shown(entry.key()));
      if (result_.measured_step || agrees(entry.value(), *tensor)) continue;
      differ(entry.key(), "");
      result_.measured_step = step_;
      result_.measured.path = entry.key();
      detail::judge(result_.measured, entry.value(), *tensor, tolerance_);
    }
  }

  bool agrees(const torch::Tensor& own, const torch::Tensor& expected) const {
    Row row;
    detail::judge(row, own.detach(), expected, tolerance_);
    return row.status != Row::kDifferent;
  }

  /// Only the first difference is kept.
  void differ(const std::string& key, const std::string& reason) {
    if (result_.first_step) return;
    result_.first_step = step_;
    result_.first_difference = key;
    result_.reason = reason;
  }

  torch::nn::Module& module_;
  ForwardFunction forward_;
  const Recording& recording_;
  const Recording::Steps& recorded_;
  double tolerance_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  int64_t step_ = 0;
  TrainingComparison result_;
};

}  // namespace

TrainingComparison compare_training(torch::nn::Module& module, const Recording& recording,
                                    const CompareOptions& options) {
  const auto forward = [&](const Tensors& inputs) -> Tensors {
    return {forward_child(module, inputs.at(0))};
  };
  const bool several = recording.steps && recording.steps->inputs.at(0).size() > 1;
  TORCH_CHECK_VALUE(!several, "compare_training: expected one input, got ",
                    recording.steps->inputs[0].size(),
                    "; compare_training(module, forward, recording) takes several");
  return compare_training(module, forward, recording, options);
}

TrainingComparison compare_training(torch::nn::Module& module, const ForwardFunction& forward,
                                    const Recording& recording, const CompareOptions& options) {
  TORCH_CHECK_VALUE(forward != nullptr,
                    "compare_training: expected a forward, got an empty function");
  TORCH_CHECK_VALUE(options.tolerance >= 0, "compare_training: expected tolerance >= 0, got ",
                    options.tolerance);
  TORCH_CHECK_VALUE(recording.steps,
                    "compare_training: expected a recording with steps, got none; "
                    "record.py --steps 50 records them");
  return Trainer(module, forward, recording, options.tolerance).run();
}

std::string TrainingComparison::text() const {
  if (equal) return c10::str("training: ", steps, " of ", steps, " steps equal\n");
  std::string text = c10::str("training: different, first in step ", first_step.value_or(0));
  if (!first_difference.empty()) text += ": " + detail::shown_path(first_difference);
  if (!reason.empty()) text += (first_difference.empty() ? ": " : " ") + reason;
  if (!measured_step) return text + "\n";
  const bool same = *measured_step == first_step && measured.path == first_difference;
  if (!same) text += c10::str("; in step ", *measured_step, " ", detail::shown_path(measured.path));
  text += measured.reason.empty() ? c10::str(" up to ", measured.difference.max_absolute, " at ",
                                             torch::IntArrayRef(measured.difference.where))
                                  : " " + measured.reason;
  return text + "\n";
}

std::string TrainingComparison::json() const {
  using nlohmann::ordered_json;
  ordered_json result = {{"equal", equal}, {"steps", steps}, {"first_step", nullptr}};
  if (first_step) {
    result["first_step"] = *first_step;
    result["first_difference"] = first_difference;
    result["reason"] = reason;
  }
  if (measured_step) {
    const Difference& found = measured.difference;
    result["measured"] = {{"step", *measured_step},
                          {"path", measured.path},
                          {"reason", measured.reason},
                          {"max_absolute", found.max_absolute},
                          {"relative_to_scale", found.relative_to_scale},
                          {"where", found.where}};
  }
  return result.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

std::ostream& operator<<(std::ostream& stream, const TrainingComparison& comparison) {
  return stream << comparison.text();
}

}  // namespace convkit
