#include <convkit/checkpoint.h>
#include <convkit/compare.h>

#include "recording.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace convkit {

namespace {

using detail::CallObserver;
using nlohmann::json;

/// "path#call/name" -> {"path#call", "name"}; paths have no '#', names may have a '/'.
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
                    "expected calls like \"path#0\", got \"", key, "\"");
  Recording::Call call;
  call.path = key.substr(0, hash);
  call.index = std::stoll(digits);
  return call;
}

/// The tensor with other strides.
torch::Tensor strided(const std::string& key, const torch::Tensor& tensor,
                      const std::vector<int64_t>& strides) {
  bool sound = static_cast<int64_t>(strides.size()) == tensor.dim() && tensor.numel() > 0;
  // One token of each image of a transformer is a small tensor with large strides.
  const int64_t bound = std::max<int64_t>(64 * tensor.numel(), int64_t{1} << 26);
  int64_t extent = 1;
  for (std::size_t i = 0; sound && i < strides.size(); ++i) {
    sound = strides[i] >= 1 && strides[i] <= bound;
    if (sound) extent += strides[i] * (tensor.sizes()[i] - 1);
    sound = sound && extent <= bound;
  }
  TORCH_CHECK_VALUE(sound, "expected strides of \"", key, "\" for the sizes ", tensor.sizes(),
                    ", got ", torch::IntArrayRef(strides));
  return at::empty_strided(tensor.sizes(), strides, tensor.options()).copy_(tensor);
}

Recording parsed(Checkpoint& file) {
  const auto found = file.metadata.find("recording");
  TORCH_CHECK_VALUE(found != file.metadata.end(), "expected the metadata of a recording");
  const json given = json::parse(found->second);
  TORCH_CHECK_VALUE(given.at("version") == 1, "expected version 1 of the format, got ",
                    given.at("version").dump());
  Recording recording;
  recording.torch = given.at("torch");
  recording.cpu = given.at("cpu");
  recording.memory_format = given.at("memory_format");
  for (const char* number : {"threads", "seed"}) {
    TORCH_CHECK_VALUE(given.at(number).is_number_integer(), "expected a whole number for ", number,
                      ", got ", given.at(number).dump());
  }
  recording.threads = given.at("threads");
  recording.seed = given.at("seed");
  TORCH_CHECK_VALUE(recording.threads >= 1 && recording.threads <= 1024,
                    "expected 1 <= threads <= 1024, got ", recording.threads);
  recording.classes = given.at("classes");
  recording.never_called = given.at("never_called");
  recording.fresh = given.at("fresh");

  const std::map<std::string, std::vector<int64_t>> strides = given.at("strides");
  std::map<std::string, std::size_t> positions;
  for (const std::string key : given.at("calls")) {
    TORCH_CHECK_VALUE(positions.emplace(key, recording.calls.size()).second,
                      "expected each call once, got \"", key, "\" twice");
    recording.calls.push_back(parsed_call(key));
  }
  Recording::Training training;
  const std::map<std::string, Recording::Tensors*> lists = {
      {"output", &training.outputs},
      {"gradient", &training.gradients},
      {"input_gradient", &training.input_gradients}};
  for (const auto& entry : file.state) {
    const std::string& key = entry.key();
    const auto rest = [&](std::string_view prefix) { return key.substr(prefix.size()); };
    if (key.starts_with("state_dict/")) {
      recording.state_dict.insert(rest("state_dict/"), entry.value());
    } else if (key.starts_with("input/") || key.starts_with("output/")) {
      const bool input = key.starts_with("input/");
      const auto [call, name] = split_call(rest(input ? "input/" : "output/"));
      const auto position = positions.find(call);
      TORCH_CHECK_VALUE(position != positions.end(),
                        "expected tensors of the calls it lists, got \"", key, "\"");
      Recording::Call& of = recording.calls[position->second];
      const auto layout = strides.find(key);
      (input ? of.inputs : of.outputs)
          .emplace_back(name, layout == strides.end()
                                  ? entry.value()
                                  : strided(key, entry.value(), layout->second));
    } else if (key.starts_with("train/parameter_gradient/")) {
      training.parameter_gradients.insert(rest("train/parameter_gradient/"), entry.value());
    } else if (key.starts_with("train/buffer/")) {
      training.buffers.insert(rest("train/buffer/"), entry.value());
    } else {
      const std::size_t slash = key.rfind('/');
      const auto list = key.starts_with("train/") && slash > 6
                            ? lists.find(key.substr(6, slash - 6))
                            : lists.end();
      TORCH_CHECK_VALUE(list != lists.end(), "expected no tensor of the name \"", key, "\"");
      list->second->emplace_back(rest(key.substr(0, slash + 1)), entry.value());
    }
  }
  const bool trained = !training.gradients.empty() || !training.input_gradients.empty() ||
                       !training.parameter_gradients.is_empty() || !training.buffers.is_empty();
  TORCH_CHECK_VALUE(!trained || !training.outputs.empty(),
                    "expected the outputs of the training step, whose gradients it has");
  if (!training.outputs.empty()) recording.training = std::move(training);
  return recording;
}

/// Keeps what the modules of one module take and give.
class Recorder : public CallObserver {
 public:
  explicit Recorder(torch::nn::Module& module)
      : paths_(detail::module_paths(module)), outer_(std::exchange(current, this)) {}
  ~Recorder() override { current = outer_; }

  void before(const torch::nn::Module& module, const Tensors& inputs) override {
    const auto path = paths_.find(&module);
    Recording::Call call;
    if (path != paths_.end()) {
      call = {path->second, counts_[path->second]++, copied(inputs), {}};
    }
    open_.push_back(std::move(call));
  }

  void after(const torch::nn::Module& module, const Tensors& outputs) override {
    Recording::Call call = std::move(open_.back());
    open_.pop_back();
    if (!paths_.contains(&module)) return;  // not one of the module's own
    call.outputs = copied(outputs);
    calls.push_back(std::move(call));
  }

  std::vector<Recording::Call> calls;

 private:
  static Tensors copied(const Tensors& tensors) {
    Tensors copies;
    for (const auto& [name, tensor] : tensors) {
      copies.emplace_back(name, detail::copy_with_strides(tensor));
    }
    return copies;
  }

  std::map<const torch::nn::Module*, std::string> paths_;
  CallObserver* outer_;
  std::map<std::string, int64_t> counts_;
  std::vector<Recording::Call> open_;
};

}  // namespace

namespace detail {

std::map<const torch::nn::Module*, std::string> module_paths(const torch::nn::Module& module) {
  std::map<const torch::nn::Module*, std::string> paths = {{&module, ""}};
  for (const auto& entry : module.named_modules("", /*include_self=*/false)) {
    paths.emplace(entry.value().get(), entry.key());
  }
  return paths;
}

std::vector<Recording::Call> record_calls(torch::nn::Module& module, const torch::Tensor& input) {
  Recorder recorder(module);
  forward_child(module, input);
  return std::move(recorder.calls);
}

int64_t hash(const torch::Tensor& tensor) {
  const torch::Tensor bytes =
      tensor.detach().cpu().contiguous().reshape({-1}).view(torch::kByte).to(torch::kLong);
  return (bytes * (2 * torch::arange(bytes.numel()) + 1)).sum().item<int64_t>();
}

torch::Tensor copy_with_strides(const torch::Tensor& tensor) {
  const torch::Tensor given = tensor.detach();
  const auto strides = given.strides();
  if (std::find(strides.begin(), strides.end(), 0) != strides.end()) return given.clone();
  return at::empty_strided(given.sizes(), strides, given.options()).copy_(given);
}

EvalMode::EvalMode(torch::nn::Module& module) {
  for (const auto& part : module.named_modules("", /*include_self=*/false)) {
    modes_.emplace_back(part.value().get(), part.value()->is_training());
  }
  modes_.emplace_back(&module, module.is_training());
  module.eval();
}

EvalMode::~EvalMode() {
  // From the outermost inwards: train() of a module sets its children's too.
  modes_.back().first->train(modes_.back().second);
  modes_.pop_back();
  for (const auto& [module, training] : modes_) module->train(training);
}

}  // namespace detail

Recording load_recording(const std::string& path) {
  Checkpoint file = load_checkpoint(path, {.everything = true});
  std::string problem;
  try {
    return parsed(file);
  } catch (const json::exception& error) {
    problem = error.what();
  } catch (const c10::Error& error) {
    problem = error.what_without_backtrace();
  }
  TORCH_CHECK_VALUE(false, "load_recording: ", path, " is no recording of record.py: ", problem);
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
  for (const Recording::Call& call : recording.calls) {
    calls.push_back(key_of(call));
    for (const auto& [name, tensor] : call.inputs) {
      if (!tensor.is_contiguous()) {
        strides["input/" + key_of(call) + "/" + name] = tensor.strides().vec();
      }
    }
    insert("input/" + key_of(call), call.inputs);
    insert("output/" + key_of(call), call.outputs);
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
  const json description = {{"version", 1},
                            {"torch", recording.torch},
                            {"cpu", recording.cpu},
                            {"memory_format", recording.memory_format},
                            {"threads", recording.threads},
                            {"seed", recording.seed},
                            {"classes", recording.classes},
                            {"calls", calls},
                            {"strides", strides},
                            {"never_called", recording.never_called},
                            {"fresh", recording.fresh}};
  save_checkpoint(path, tensors,
                  {.metadata = {{"recording", description.dump()}}, .copy_shared = true});
}

Recording record(torch::nn::Module& module, const torch::Tensor& input) {
  const torch::NoGradGuard no_grad;
  const detail::EvalMode eval(module);
  Recording recording;
  for (const auto& entry : state_dict(module)) {
    recording.state_dict.insert(entry.key(), entry.value().clone());
  }
  recording.calls = detail::record_calls(module, input.clone());
  recording.torch = TORCH_VERSION;
  recording.cpu = at::get_cpu_capability();
  recording.threads = at::get_num_threads();
  if (!input.is_contiguous() && input.is_contiguous(torch::MemoryFormat::ChannelsLast)) {
    recording.memory_format = "channels_last";
  }
  std::set<std::string> called;
  for (const Recording::Call& call : recording.calls) called.insert(call.path);
  recording.classes.emplace("", detail::python_name(module.name()));
  for (const auto& entry : module.named_modules("", /*include_self=*/false)) {
    recording.classes.emplace(entry.key(), detail::python_name(entry.value()->name()));
    if (!called.contains(entry.key())) recording.never_called.push_back(entry.key());
  }
  return recording;
}

}  // namespace convkit
