#include "compare/recording_file.h"

#include <convkit/checkpoint.h>
#include <convkit/compare.h>

#include "compare/steps_file.h"
#include "core/strides.h"
#include "files/file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <tuple>
#include <type_traits>

namespace convkit {

namespace {

using nlohmann::json;

/// Splits "path#call/name" into "path#call" and "name"; a path has no '#', a name may have a '/'.
std::pair<std::string, std::string> split_call(const std::string& key) {
  const std::size_t hash = key.find('#');
  const std::size_t slash = hash == std::string::npos ? hash : key.find('/', hash);
  if (slash == std::string::npos) return {key, ""};
  return {key.substr(0, slash), key.substr(slash + 1)};
}

std::string key_of(const Recording::Call& call) {
  return call.path + "#" + std::to_string(call.index);
}

Recording::Call parsed_call(const std::string& key) {
  const std::size_t hash = key.rfind('#');
  const std::string digits = hash == std::string::npos ? "" : key.substr(hash + 1);
  TORCH_CHECK_VALUE(!digits.empty() && digits.size() <= 9 &&
                        digits.find_first_not_of("0123456789") == std::string::npos,
                    "expected calls like \"path#0\", got ", detail::shown(key));
  Recording::Call call;
  call.path = key.substr(0, hash);
  call.index = std::stoll(digits);
  return call;
}

/// Whether the name of a tensor comes before another one: the numbers of a list in their order, before
/// other names. A file has its tensors in an order of its own.
bool comes_before(std::string_view a, std::string_view b) {
  const auto take = [](std::string_view& rest) {
    const std::string_view part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    const bool number =
        !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    return std::tuple(!number, number ? part.size() : 0, part);
  };
  while (!a.empty() && !b.empty()) {
    const auto x = take(a);
    const auto y = take(b);
    if (x != y) return x < y;
  }
  return a.size() < b.size();
}

void sort_by_name(Recording::Tensors& tensors) {
  std::ranges::stable_sort(
      tensors, [](const auto& a, const auto& b) { return comes_before(a.first, b.first); });
}

/// Gives a copy of the tensor with these strides, which come from a file.
torch::Tensor strided(const std::string& key, const torch::Tensor& tensor,
                      const std::vector<int64_t>& strides) {
  bool sound = static_cast<int64_t>(strides.size()) == tensor.dim() && tensor.numel() > 0;
  // A transformer that takes one token of each image makes small tensors with large strides.
  const int64_t bound = std::max<int64_t>(64 * tensor.numel(), int64_t{1} << 26);
  int64_t extent = 1;
  for (std::size_t i = 0; sound && i < strides.size(); ++i) {
    sound = strides[i] >= 1 && strides[i] <= bound;
    if (sound) extent += strides[i] * (tensor.sizes()[i] - 1);
    sound = sound && extent <= bound;
  }
  TORCH_CHECK_VALUE(sound, "expected strides of ", detail::shown(key), " for the sizes ",
                    tensor.sizes(), ", got ", torch::IntArrayRef(strides));
  TORCH_CHECK_VALUE(!detail::may_overlap(tensor.sizes(), strides), "expected strides of ",
                    detail::shown(key), " that give each of the sizes ", tensor.sizes(),
                    " memory of its own, got ", torch::IntArrayRef(strides));
  return at::empty_strided(tensor.sizes(), strides, tensor.options()).copy_(tensor);
}

/// Parses the metadata in which record.py and save_recording() describe a recording.
json description_of(const Checkpoint& file) {
  const auto found = file.metadata.find("recording");
  TORCH_CHECK_VALUE(found != file.metadata.end(), "expected the metadata of a recording");
  json given = json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  TORCH_CHECK_VALUE(given.is_object(), "expected a JSON object for its metadata, got ",
                    detail::shown(found->second));
  return given;
}

/// Reads one value of the description; `what` says in errors what it has to be.
template <typename Value>
Value read(const json& given, const char* name, const char* what) {
  const auto found = given.find(name);
  TORCH_CHECK_VALUE(found != given.end(), "expected ", what, " for ", name, ", got nothing");
  try {
    if (!std::is_same_v<Value, int64_t> || found->is_number_integer()) return found->get<Value>();
  } catch (const json::exception&) {  // says it in the words of nlohmann-json
  }
  constexpr std::size_t kLongest = 80;
  std::string text = found->dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  TORCH_CHECK_VALUE(false, "expected ", what, " for ", name, ", got ", text);
}

/// Makes a recording of what its description says, still without calls and tensors.
Recording described(const json& given) {
  const auto version = read<int64_t>(given, "version", "a whole number");
  TORCH_CHECK_VALUE(version == 1, "expected version 1 of the format, got ", version);
  Recording recording;
  recording.torch = read<std::string>(given, "torch", "a text");
  recording.cpu = read<std::string>(given, "cpu", "a text");
  recording.memory_format = read<std::string>(given, "memory_format", "a text");
  TORCH_CHECK_VALUE(
      recording.memory_format == "contiguous" || recording.memory_format == "channels_last",
      "expected memory_format contiguous or channels_last, got ",
      detail::shown(recording.memory_format));
  recording.threads = read<int64_t>(given, "threads", "a whole number");
  recording.seed = read<int64_t>(given, "seed", "a whole number");
  TORCH_CHECK_VALUE(recording.threads >= 1 && recording.threads <= 1024,
                    "expected 1 <= threads <= 1024, got ", recording.threads);
  recording.classes =
      read<std::map<std::string, std::string>>(given, "classes", "an object of texts");
  recording.never_called = read<std::vector<std::string>>(given, "never_called", "a list of texts");
  recording.fresh =
      read<std::map<std::string, int64_t>>(given, "fresh", "an object of whole numbers");
  return recording;
}

/// Makes the calls that a description lists, and gives the tensors of a file their places in the
/// recording, by their keys.
class TensorPlaces {
 public:
  TensorPlaces(Recording& recording, const json& given)
      : recording_(recording),
        strides_(read<std::map<std::string, std::vector<int64_t>>>(
            given, "strides", "an object of lists of whole numbers")) {
    if (given.contains("steps")) steps_ = given["steps"];
    if (given.contains("outputs")) {  // not in older files
      orders_ = read<std::map<std::string, std::vector<std::string>>>(
          given, "outputs", "an object of lists of texts");
    }
    for (const auto& key : read<std::vector<std::string>>(given, "calls", "a list of texts")) {
      TORCH_CHECK_VALUE(positions_.emplace(key, recording.calls.size()).second,
                        "expected each call once, got ", detail::shown(key), " twice");
      recording.calls.push_back(parsed_call(key));
    }
  }

  void add(const std::string& key, const torch::Tensor& tensor) {
    const auto rest = [&](std::string_view prefix) { return key.substr(prefix.size()); };
    if (key.starts_with("state_dict/")) {
      recording_.state_dict.insert(rest("state_dict/"), tensor);
    } else if (key.starts_with("input/")) {
      const auto [call, name] = call_of(key, rest("input/"));
      call->inputs.emplace_back(name, laid_out(key, tensor));
    } else if (key.starts_with("output/")) {
      const auto [call, name] = call_of(key, rest("output/"));
      call->outputs.emplace_back(name, laid_out(key, tensor));
    } else if (steps_ && detail::is_of_steps(key)) {
      tensors_of_steps_.emplace(key, tensor);
    } else if (key.starts_with("train/parameter_gradient/")) {
      training_.parameter_gradients.insert(rest("train/parameter_gradient/"), tensor);
    } else if (key.starts_with("train/buffer/")) {
      training_.buffers.insert(rest("train/buffer/"), tensor);
    } else {
      const std::size_t slash = key.rfind('/');
      const auto list = key.starts_with("train/") && slash > 6
                            ? lists_.find(key.substr(6, slash - 6))
                            : lists_.end();
      TORCH_CHECK_VALUE(list != lists_.end(), "expected no tensor of the name ",
                        detail::shown(key));
      list->second->emplace_back(rest(key.substr(0, slash + 1)), tensor);
    }
  }

  /// The caller calls it once, after the last tensor.
  void finish() {
    const bool trained = !training_.gradients.empty() || !training_.input_gradients.empty() ||
                         !training_.parameter_gradients.is_empty() || !training_.buffers.is_empty();
    TORCH_CHECK_VALUE(!trained || !training_.outputs.empty(),
                      "expected the outputs of the training step, whose gradients it has");
    for (const auto& [name, list] : lists_) sort_by_name(*list);
    for (const auto& [key, position] : positions_) {
      Recording::Call& call = recording_.calls[position];
      sort_by_name(call.inputs);
      sort_by_name(call.outputs);
      // A dict's members have an order that their names do not tell.
      const auto order = orders_.find(key);
      if (order == orders_.end()) continue;
      std::ranges::stable_sort(call.outputs, {}, [&](const auto& output) {
        return std::ranges::find(order->second, output.first) - order->second.begin();
      });
    }
    if (steps_) recording_.steps = detail::read_steps(*steps_, tensors_of_steps_);
    if (!training_.outputs.empty()) recording_.training = std::move(training_);
  }

 private:
  /// Finds the call that a tensor belongs to, and the tensor's name in it.
  std::pair<Recording::Call*, std::string> call_of(const std::string& key,
                                                   const std::string& rest) {
    const auto [call, name] = split_call(rest);
    const auto position = positions_.find(call);
    TORCH_CHECK_VALUE(position != positions_.end(), "expected tensors of the calls it lists, got ",
                      detail::shown(key));
    return {&recording_.calls[position->second], name};
  }

  torch::Tensor laid_out(const std::string& key, const torch::Tensor& tensor) const {
    const auto layout = strides_.find(key);
    return layout == strides_.end() ? tensor : strided(key, tensor, layout->second);
  }

  Recording& recording_;
  std::map<std::string, std::vector<int64_t>> strides_;
  std::map<std::string, std::vector<std::string>> orders_;  ///< of the outputs of a call
  std::map<std::string, std::size_t> positions_;
  std::optional<json> steps_;
  std::map<std::string, torch::Tensor> tensors_of_steps_;
  Recording::Training training_;
  const std::map<std::string, Recording::Tensors*> lists_ = {
      {"output", &training_.outputs},
      {"gradient", &training_.gradients},
      {"input_gradient", &training_.input_gradients}};
};

Recording parsed(const Checkpoint& file) {
  const json given = description_of(file);
  Recording recording = described(given);
  TensorPlaces places(recording, given);
  for (const auto& entry : file.state) places.add(entry.key(), entry.value());
  places.finish();
  return recording;
}

}  // namespace

namespace detail {

int64_t hash(const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.detach().cpu().contiguous();
  const auto* const bytes = static_cast<const uint8_t*>(dense.const_data_ptr());
  uint64_t sum = 0;
  for (std::size_t i = 0; i < dense.nbytes(); ++i) sum += bytes[i] * (2 * uint64_t{i} + 1);
  return static_cast<int64_t>(sum);
}

}  // namespace detail

Recording load_recording(const std::string& path) {
  const Checkpoint file = load_checkpoint(path, {.everything = true});
  try {
    return parsed(file);
  } catch (const c10::Error& error) {
    TORCH_CHECK_VALUE(false, "load_recording: ", detail::shown_path(path),
                      " is no recording of record.py: ", error.what_without_backtrace());
  }
}

void save_recording(const std::string& path, const Recording& recording) {
  StateDict tensors;
  const auto insert = [&](const std::string& prefix, const auto& named) {
    for (const auto& [name, tensor] : named) {
      tensors.insert(name.empty() ? prefix : prefix + "/" + name, tensor);
    }
  };
  for (const auto& entry : recording.state_dict) {
    tensors.insert("state_dict/" + entry.key(), entry.value());
  }
  json calls = json::array();
  json strides = json::object();
  json outputs = json::object();
  for (const Recording::Call& call : recording.calls) {
    calls.push_back(key_of(call));
    for (const auto& [name, tensor] : call.inputs) {
      if (!tensor.is_contiguous()) {
        strides["input/" + key_of(call) + "/" + name] = tensor.strides().vec();
      }
    }
    insert("input/" + key_of(call), call.inputs);
    insert("output/" + key_of(call), call.outputs);
    for (const auto& [name, tensor] : call.outputs) {
      if (call.outputs.size() > 1) outputs[key_of(call)].push_back(name);
    }
  }
  if (const auto& training = recording.training) {
    insert("train/output", training->outputs);
    insert("train/gradient", training->gradients);
    insert("train/input_gradient", training->input_gradients);
    for (const auto& entry : training->parameter_gradients) {
      tensors.insert("train/parameter_gradient/" + entry.key(), entry.value());
    }
    for (const auto& entry : training->buffers) {
      tensors.insert("train/buffer/" + entry.key(), entry.value());
    }
  }
  json description = {{"version", 1},
                      {"torch", recording.torch},
                      {"cpu", recording.cpu},
                      {"memory_format", recording.memory_format},
                      {"threads", recording.threads},
                      {"seed", recording.seed},
                      {"classes", recording.classes},
                      {"calls", calls},
                      {"strides", strides},
                      {"outputs", outputs},
                      {"never_called", recording.never_called},
                      {"fresh", recording.fresh}};
  if (recording.steps) description["steps"] = detail::write_steps(*recording.steps, tensors);
  save_checkpoint(path, tensors,
                  {.metadata = {{"recording", description.dump()}}, .copy_shared = true});
}

}  // namespace convkit
