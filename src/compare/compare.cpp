#include <convkit/compare.h>

#include "compare/call_recorder.h"
#include "compare/recorded.h"
#include "compare/recording_file.h"
#include "compare/rows.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/autograd.h>
#include <torch/version.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace convkit {

namespace {

using detail::copied;
using detail::fail;
using detail::guarded;
using detail::Rows;
using Row = ComparisonRow;
using Tensors = std::vector<torch::Tensor>;

/// The outputs of our call under the recorded names, in their order; fewer where names differ.
Tensors outputs_by_name(const Recording::Call& ours, const Recording::Call& recorded) {
  Tensors outputs;
  for (const auto& [name, tensor] : recorded.outputs) {
    for (const auto& [own_name, own] : ours.outputs) {
      if (own_name == name) outputs.push_back(own);
    }
  }
  return outputs;
}

/// Compares one module with one recording.
class Comparer {
 public:
  /// Without a forward the module maps one tensor to one, or is not compared as a whole.
  Comparer(torch::nn::Module& module, ForwardFunction forward, const Recording& recording,
           double tolerance)
      : module_(module),
        forward_(std::move(forward)),
        recording_(recording),
        tolerance_(tolerance) {
    modules_.emplace("", &module);
    for (const auto& entry : module.named_modules("", /*include_self=*/false)) {
      modules_.emplace(entry.key(), entry.value().get());
    }
  }

  Comparison run() {
    note_circumstances();
    compare_fresh();
    if (!weights_fit()) return std::move(result_);
    detail::load_weights(module_, recording_);
    {
      const torch::NoGradGuard no_grad;
      module_.eval();
      compare_calls();
    }
    if (recording_.training) compare_training();
    conclude();
    return std::move(result_);
  }

 private:
  void note_circumstances() {
    const auto note = [this](auto... parts) { result_.notes.push_back(c10::str(parts...)); };
    if (!recording_.torch.starts_with(TORCH_VERSION)) {
      note("recorded with torch ", recording_.torch, ", compared with LibTorch ", TORCH_VERSION,
           ": their kernels may round differently");
    }
    if (recording_.threads != at::get_num_threads()) {
      note("recorded with ", recording_.threads, " thread(s), compared with ",
           at::get_num_threads(), ": sums may be split differently; call torch::set_num_threads(",
           recording_.threads, ")");
    }
    if (recording_.cpu != at::get_cpu_capability()) {
      note("recorded with ", recording_.cpu, " instructions, compared with ",
           at::get_cpu_capability(), ": sums may be split differently");
    }
    for (const torch::Tensor& parameter : module_.parameters()) {
      if (parameter.is_cpu() && parameter.scalar_type() == torch::kFloat) continue;
      note("the module has ", parameter.scalar_type(), " weights on ", parameter.device(),
           ": those kernels are not the recorded ones");
      break;
    }
  }

  void compare_fresh() {
    for (const auto& entry : state_dict(module_)) {
      const auto found = recording_.fresh.find(entry.key());
      if (found != recording_.fresh.end() && detail::hash(entry.value()) != found->second) {
        result_.initialisation.push_back(entry.key());
      }
    }
  }

  /// Whether the recorded weights fit the module; if they do not, the result says nothing else.
  bool weights_fit() {
    const StateDict own = state_dict(module_);
    for (const auto& entry : own) {
      const torch::Tensor* given = recording_.state_dict.find(entry.key());
      if (given == nullptr) {
        result_.keys.push_back(entry.key() + ": is not in the recording");
      } else if (given->sizes() != entry.value().sizes()) {
        result_.keys.push_back(c10::str(entry.key(), ": has the shape ", entry.value().sizes(),
                                        ", recorded ", given->sizes()));
      }
    }
    for (const auto& entry : recording_.state_dict) {
      if (!own.contains(entry.key())) {
        result_.keys.push_back(entry.key() + ": is in the recording alone");
      }
    }
    if (result_.keys.empty()) return true;
    const std::string& first = result_.keys.front();
    const std::string key = first.substr(0, first.find(": "));
    const std::size_t dot = key.rfind('.');
    result_.first_difference = dot == std::string::npos ? "" : key.substr(0, dot);
    return false;
  }

  const Recording::Call* root() const {
    for (const Recording::Call& call : recording_.calls) {
      if (call.path.empty()) return &call;
    }
    return nullptr;
  }

  /// Says why a module cannot be run by itself for a recorded call; nothing if it can.
  std::string hindrance(torch::nn::Module& module, const Recording::Call& call) const {
    const bool whole = &module == &module_;
    if (whole && forward_) return "";
    const char* advice = whole ? "; compare(module, forward, recording) runs it" : "";
    if (call.inputs.size() != 1 || call.outputs.size() != 1) {
      return c10::str("it takes ", call.inputs.size(), " tensor(s) and gives ", call.outputs.size(),
                      advice);
    }
    if (detail::maps_tensor_to_tensor(module)) return "";
    return module.name() + " does not map one tensor to one" + advice;
  }

  Tensors outputs_of(torch::nn::Module& module, const Tensors& inputs) const {
    const bool whole = &module == &module_ && forward_;
    return whole ? forward_(inputs) : Tensors{forward_child(module, inputs.at(0))};
  }

  /// Compares what one call gives.
  Rows rows_of(const Recording::Call& call) {
    Row head;
    head.path = call.path;
    head.call = call.index;
    const auto type = recording_.classes.find(call.path);
    if (type != recording_.classes.end()) head.type = type->second;
    const auto found = modules_.find(call.path);
    head.reason = found == modules_.end() ? "there is no module of this path"
                                          : hindrance(*found->second, call);
    if (!head.reason.empty()) return {head};
    Tensors ours;
    guarded(head, [&] { ours = outputs_of(*found->second, copied(call.inputs)); });
    if (head.status == Row::kDifferent) return {head};
    return detail::judged(head, ours, call.outputs, tolerance_);
  }

  void compare_calls() {
    std::vector<Rows> rows;
    for (const Recording::Call& call : recording_.calls) rows.push_back(rows_of(call));
    const Recording::Call* const whole = root();
    if (whole == nullptr) {
      Row& row = result_.end_to_end.emplace_back();
      row.type = detail::python_name(module_.name());
      row.reason = "the recording has no call of the outermost module";
    } else {
      result_.end_to_end = rows[whole - recording_.calls.data()];
      if (hindrance(module_, *whole).empty()) compare_within(*whole, rows);
    }
    for (const Rows& some : rows) {
      result_.layers.insert(result_.layers.end(), some.begin(), some.end());
    }
  }

  /// Runs the module as a whole and watches the calls in it, where that can tell more: of the calls
  /// that could not be compared by themselves, and of where its data goes another way than in Python.
  void compare_within(const Recording::Call& whole, std::vector<Rows>& rows) {
    const auto is_left = [](const Rows& some) { return some[0].status == Row::kNotCompared; };
    const auto first =
        std::ranges::find(result_.end_to_end, Row::kDifferent, &ComparisonRow::status);
    const bool differs = first != result_.end_to_end.end();
    if (!differs && std::ranges::none_of(rows, is_left)) return;
    std::vector<Recording::Call> ours;
    try {
      ours = detail::record_calls(
          module_, [&](const Tensors& inputs) { return outputs_of(module_, inputs); },
          copied(whole.inputs));
    } catch (const std::exception&) {
      return;  // its row says so
    }
    ours.pop_back();  // its own call
    std::map<std::pair<std::string, int64_t>, std::size_t> places;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      places.try_emplace({recording_.calls[i].path, recording_.calls[i].index}, i);
    }
    std::string wiring;
    for (const Recording::Call& call : ours) {
      const auto found = places.find({call.path, call.index});
      if (found == places.end()) continue;
      const Recording::Call& recorded = recording_.calls[found->second];
      if (call.inputs.size() != recorded.inputs.size()) continue;
      const bool alike = std::ranges::equal(call.inputs, recorded.inputs, [](auto& a, auto& b) {
        return difference(a.second, b.second).equal;
      });
      Rows& some = rows[found->second];
      if (alike && is_left(some)) {
        const Tensors outputs = outputs_by_name(call, recorded);
        if (outputs.size() != recorded.outputs.size()) {
          some[0].reason += ", with other names";
          continue;
        }
        Row head = some[0];
        head.reason = "";
        some = detail::judged(head, outputs, recorded.outputs, tolerance_);
      } else if (!alike && is_left(some)) {
        some[0].reason += ", and here other ones than recorded";
      }
      if (!alike && wiring.empty()) {
        wiring = c10::str("the first module that is given another input is ", call.path, "#",
                          call.index);
      }
    }
    if (differs && !wiring.empty()) first->reason += (first->reason.empty() ? "" : "; ") + wiring;
  }

  void compare_training() {
    const Recording::Training& step = *recording_.training;
    const Recording::Call* whole = root();
    Row row;
    row.type = "training step";
    if (whole == nullptr) {
      row.reason = "the recording has no call of the outermost module";
    } else if (step.outputs.size() != step.gradients.size()) {
      row.reason = c10::str("recorded are ", step.outputs.size(), " output(s) and ",
                            step.gradients.size(), " gradient(s) of them");
    } else {
      row.reason = hindrance(module_, {"", 0, whole->inputs, step.outputs});
    }
    if (row.reason.empty()) guarded(row, [&] { train(step, whole->inputs); });
    if (!row.reason.empty()) result_.training.push_back(row);
    module_.eval();
  }

  /// Takes the training step, and compares its gradients and buffers.
  void train(const Recording::Training& step, const Recording::Tensors& recorded) {
    module_.train();
    module_.zero_grad();
    torch::manual_seed(static_cast<uint64_t>(recording_.seed) + 1);
    const Tensors inputs = copied(recorded);
    Tensors given;  // no leaves, which a module could not write to
    for (torch::Tensor x : inputs) {
      x.set_requires_grad(x.is_floating_point());
      given.push_back(x.clone());
    }
    const Tensors outputs = outputs_of(module_, given);
    Row head;
    head.type = "output";
    const Rows rows = detail::judged(head, outputs, step.outputs, tolerance_);
    result_.training.insert(result_.training.end(), rows.begin(), rows.end());
    if (outputs.size() != step.outputs.size()) return;
    Tensors gradients;
    for (const auto& [name, gradient] : step.gradients) gradients.push_back(gradient.clone());
    torch::autograd::backward(outputs, gradients);
    for (const auto& [name, gradient] : step.input_gradients) {
      const auto found =
          std::ranges::find(recorded, name, [](const auto& input) { return input.first; });
      const auto i = found - recorded.begin();
      add("gradient of the input", "", found == recorded.end() ? torch::Tensor() : inputs[i].grad(),
          gradient, inputs.size() > 1 ? name : "");
    }
    std::set<const c10::TensorImpl*> seen;  // Python has one name of a tied parameter, the first
    for (const auto& entry : module_.named_parameters()) {
      if (!seen.insert(entry.value().unsafeGetTensorImpl()).second) continue;
      const torch::Tensor* expected = step.parameter_gradients.find(entry.key());
      if (expected != nullptr) {
        add("gradient", entry.key(), entry.value().grad(), *expected);
      } else if (entry.value().grad().defined()) {
        Row other;
        other.type = "gradient";
        other.path = entry.key();
        fail(other, "there is one, recorded is none");
        result_.training.push_back(other);
      }
    }
    const StateDict state = state_dict(module_);
    for (const auto& entry : step.buffers) {
      add("buffer", entry.key(), state[entry.key()], entry.value());
    }
  }

  void add(const char* type, const std::string& path, const torch::Tensor& ours,
           const torch::Tensor& expected, const std::string& name = "") {
    Row row;
    row.type = type;
    row.path = path;
    row.output = name;
    if (ours.defined()) {
      detail::judge(row, ours, expected, tolerance_);
    } else {
      fail(row, "there is none");
    }
    result_.training.push_back(std::move(row));
  }

  void conclude() {
    const auto differs = [](const Row& row) { return row.status == Row::kDifferent; };
    const auto first = std::find_if(result_.layers.begin(), result_.layers.end(), differs);
    if (first != result_.layers.end()) {
      result_.first_difference = first->path;
      if (has_equal_children(first->path)) {
        first->reason += c10::str(first->reason.empty() ? "" : "; ",
                                  "what is in it is equal: its own forward differs");
      }
    }
    const bool layers = first == result_.layers.end();
    const auto compared = [](const Row& row) { return row.status != Row::kNotCompared; };
    const auto& training = result_.training;
    const bool trains = std::none_of(training.begin(), training.end(), differs);
    const bool trained = std::all_of(training.begin(), training.end(), compared);
    if (layers && !trains) {
      result_.first_difference = std::find_if(training.begin(), training.end(), differs)->path;
    }
    const auto equal = [](const Row& row) { return row.status == Row::kEqual; };
    result_.equal = layers && trains && trained && std::ranges::all_of(result_.end_to_end, equal);
  }

  /// Whether the module has parts, and all rows of these are equal.
  bool has_equal_children(const std::string& path) const {
    std::size_t inside = 0;
    for (const Row& row : result_.layers) {
      if (row.path == path || !row.path.starts_with(path.empty() ? "" : path + ".")) continue;
      if (row.status != Row::kEqual) return false;
      ++inside;
    }
    return inside > 0;
  }

  torch::nn::Module& module_;
  ForwardFunction forward_;
  const Recording& recording_;
  double tolerance_;
  std::map<std::string, torch::nn::Module*> modules_;
  Comparison result_;
};

}  // namespace

Comparison compare(torch::nn::Module& module, const Recording& recording,
                   const CompareOptions& options) {
  TORCH_CHECK_VALUE(options.tolerance >= 0, "compare: expected tolerance >= 0, got ",
                    options.tolerance);
  return Comparer(module, nullptr, recording, options.tolerance).run();
}

Comparison compare(torch::nn::Module& module, const ForwardFunction& forward,
                   const Recording& recording, const CompareOptions& options) {
  TORCH_CHECK_VALUE(forward != nullptr, "compare: expected a forward, got an empty function");
  TORCH_CHECK_VALUE(options.tolerance >= 0, "compare: expected tolerance >= 0, got ",
                    options.tolerance);
  return Comparer(module, forward, recording, options.tolerance).run();
}

}  // namespace convkit
