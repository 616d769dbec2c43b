#include <convkit/compare.h>

#include "compare/call_recorder.h"
#include "compare/recording_file.h"
#include "core/strides.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>

#include <algorithm>
#include <map>
#include <utility>

namespace convkit {

namespace {

using Row = ComparisonRow;

/// Says what differs in bits at `where`, although all values are equal.
std::string bits_that_differ(const torch::Tensor& expected, const std::vector<int64_t>& where) {
  torch::Tensor element = expected.detach();
  for (const int64_t i : where) element = element[i];
  return c10::str("differs in ",
                  element.isnan().item<bool>() ? "the bits of a NaN" : "the sign of a zero", " at ",
                  torch::IntArrayRef(where));
}

/// Makes a row different for a reason that is no number.
void fail(Row& row, const std::string& reason) {
  row.status = Row::kDifferent;
  row.reason = reason;
  row.difference.explanation = reason;
}

/// Compares `ours` with what Python gave, and fills the row.
void judge(Row& row, const torch::Tensor& ours, const torch::Tensor& expected, double tolerance) {
  row.difference = difference(ours, expected);
  const Difference& found = row.difference;
  const bool close = found.equal || (found.explanation.empty() &&
                                     found.relative_to_scale <= tolerance && tolerance > 0);
  row.status = close ? Row::kEqual : Row::kDifferent;
  // Expected values that are all the same prove nothing if ours are equal; if not, they do.
  if (close && !found.alive) row.status = Row::kDead;
  row.reason = found.explanation;
  if (!found.equal && found.explanation.empty() && found.max_absolute == 0) {
    row.reason = bits_that_differ(expected, found.where);
  }
}

/// Runs `f`, and makes what it throws the row's reason.
template <typename F>
void guarded(Row& row, F f) {
  try {
    f();
  } catch (const c10::Error& error) {
    fail(row, std::string("it throws: ") + error.what_without_backtrace());
  } catch (const std::exception& error) {
    fail(row, std::string("it throws: ") + error.what());
  }
}

/// Compares one module with one recording.
class Comparer {
 public:
  Comparer(torch::nn::Module& module, const Recording& recording, double tolerance)
      : module_(module), recording_(recording), tolerance_(tolerance) {
    modules_.emplace("", &module);
    for (const auto& entry : module.named_modules("", /*include_self=*/false)) {
      modules_.emplace(entry.key(), entry.value().get());
    }
  }

  Comparison run() {
    note_circumstances();
    compare_fresh();
    if (!weights_fit()) return std::move(result_);
    load();
    {
      const torch::NoGradGuard no_grad;
      module_.eval();
      for (const Recording::Call& call : recording_.calls) result_.layers.push_back(layer(call));
      compare_whole();
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

  void load() {
    StateDict weights;
    for (const auto& entry : recording_.state_dict) {
      weights.insert(entry.key(), entry.value().clone());
    }
    load_state_dict(module_, weights);
    if (recording_.memory_format != "channels_last") return;
    for (torch::Tensor& parameter : module_.parameters()) {
      if (parameter.dim() == 4) {
        parameter.set_data(parameter.detach().contiguous(torch::MemoryFormat::ChannelsLast));
      }
    }
  }

  Row layer(const Recording::Call& call) {
    Row row;
    row.path = call.path;
    row.call = call.index;
    const auto type = recording_.classes.find(call.path);
    if (type != recording_.classes.end()) row.type = type->second;
    const auto found = modules_.find(call.path);
    if (found == modules_.end()) {
      row.reason = "there is no module of this path";
    } else if (call.inputs.size() != 1 || call.outputs.size() != 1) {
      row.reason =
          c10::str("it takes ", call.inputs.size(), " tensors and gives ", call.outputs.size());
    } else if (!detail::maps_tensor_to_tensor(*found->second)) {
      row.reason = found->second->name() + " does not map one tensor to one";
    } else {
      guarded(row, [&] {
        const torch::Tensor x = detail::copy_with_strides(call.inputs[0].second);
        judge(row, forward_child(*found->second, x), call.outputs[0].second, tolerance_);
      });
    }
    return row;
  }

  const Recording::Call* root() const {
    for (const Recording::Call& call : recording_.calls) {
      if (call.path.empty()) return &call;
    }
    return nullptr;
  }

  void compare_whole() {
    Row& row = result_.end_to_end;
    row.type = detail::python_name(module_.name());
    const Recording::Call* call = root();
    if (call == nullptr) {
      row.reason = "the recording has no call of the outermost module";
      return;
    }
    row = layer(*call);
    if (row.status != Row::kDifferent) return;
    find_wiring(*call);
  }

  /// Looks for the first call, of those that can be seen, whose input is not the recorded one:
  /// there the data goes another way than in Python.
  void find_wiring(const Recording::Call& root) {
    std::vector<Recording::Call> ours;
    try {
      ours = detail::record_calls(module_, detail::copy_with_strides(root.inputs[0].second));
    } catch (const std::exception&) {
      return;  // its row says so
    }
    std::map<std::pair<std::string, int64_t>, const Recording::Call*> recorded;
    for (const Recording::Call& call : recording_.calls) {
      recorded.try_emplace({call.path, call.index}, &call);
    }
    for (const Recording::Call& call : ours) {
      const auto found = recorded.find({call.path, call.index});
      if (found == recorded.end() || call.path.empty()) continue;
      const Recording::Call& same = *found->second;
      if (call.inputs.size() != 1 || same.inputs.size() != 1) continue;
      if (difference(call.inputs[0].second, same.inputs[0].second).equal) continue;
      result_.end_to_end.reason +=
          c10::str(result_.end_to_end.reason.empty() ? "" : "; ",
                   "the first module that is given another input is ", call.path, "#", call.index);
      return;
    }
  }

  void compare_training() {
    const Recording::Training& step = *recording_.training;
    const Recording::Call* call = root();
    Row row;
    row.type = "training step";
    if (call == nullptr || call->inputs.size() != 1 || step.outputs.size() != 1 ||
        step.gradients.size() != 1 || !detail::maps_tensor_to_tensor(module_)) {
      row.reason = "the module does not map one tensor to one";
      result_.training.push_back(row);
      return;
    }
    guarded(row, [&] { train(step, call->inputs[0].second); });
    if (!row.reason.empty()) result_.training.push_back(row);
    module_.eval();
  }

  /// Takes the training step, and compares its gradients and buffers.
  void train(const Recording::Training& step, const torch::Tensor& input) {
    module_.train();
    module_.zero_grad();
    torch::manual_seed(static_cast<uint64_t>(recording_.seed) + 1);
    torch::Tensor x = detail::copy_with_strides(input);
    x.set_requires_grad(x.is_floating_point());
    const torch::Tensor y = forward_child(module_, x.clone());
    add("output", "", y.detach(), step.outputs[0].second);
    y.backward(step.gradients[0].second.clone());
    if (!step.input_gradients.empty()) {
      add("gradient of the input", "", x.grad(), step.input_gradients[0].second);
    }
    for (const auto& entry : module_.named_parameters()) {
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
           const torch::Tensor& expected) {
    Row row;
    row.type = type;
    row.path = path;
    if (ours.defined()) {
      judge(row, ours, expected, tolerance_);
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
    result_.equal = layers && trains && trained && result_.end_to_end.status == Row::kEqual;
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
  return Comparer(module, recording, options.tolerance).run();
}

}  // namespace convkit
