// One of the processes that peers.py and training.py drive: reads a request from each line of the
// standard input and answers it with a line, both JSON. peer_process.py is the same for Python.
//
//     make    workload, variant, threads, weights, input: loads and compiles a module; seconds
//     output  file: writes what it computes
//     run     repetitions, calls: the milliseconds of a call in each repetition, and page faults
//     macs    its multiplications
//     train   workload, variant, threads, weights, input, steps: milliseconds and losses
#include "workloads.h"

#include <convkit/convkit.h>

#include <ATen/Parallel.h>
#include <torch/nn/functional/loss.h>
#include <torch/optim/sgd.h>
#include <nlohmann/json.hpp>

#include <malloc.h>
#include <sys/resource.h>

#include <climits>
#include <ctime>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace {

using nlohmann::json;
using torch::MemoryFormat;
using torch::Tensor;

double milliseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

/// Of /proc/self/status, in megabytes: "VmHWM:" is the most memory that the process has had.
double memory(const std::string& key) {
  std::ifstream file("/proc/self/status");
  double kilobytes = 0;
  for (std::string word; file >> word;) {
    if (word == key) file >> kilobytes;
  }
  return kilobytes / 1024;
}

/// From here on VmHWM counts anew.
void forget_peak() {
  std::ofstream("/proc/self/clear_refs") << 5;
}

struct Variant {
  MemoryFormat layout = MemoryFormat::Contiguous;  ///< of inputs and results
  bool compiled = false;
  torch::Dtype dtype = torch::kFloat32;
  bool onednn = true;
  bool winograd = true;
};

const std::map<std::string, Variant> kVariants = {
    {"plain", {}},
    {"plain channels_last", {.layout = MemoryFormat::ChannelsLast}},
    {"compiled", {.compiled = true}},
    {"compiled channels_last", {.layout = MemoryFormat::ChannelsLast, .compiled = true}},
    {"compiled direct", {.compiled = true, .winograd = false}},
    {"compiled channels_last direct",
     {.layout = MemoryFormat::ChannelsLast, .compiled = true, .winograd = false}},
    {"compiled bfloat16", {.compiled = true, .dtype = torch::kBFloat16}},
    {"compiled LibTorch", {.compiled = true, .onednn = false}},
};

/// As Python's to(memory_format=...).
void to_layout(torch::nn::Module& module, MemoryFormat layout) {
  for (Tensor& parameter : module.parameters()) {
    if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(layout));
  }
}

/// A copy, at an address as LibTorch allocates it.
Tensor loaded(const convkit::Checkpoint& checkpoint, const std::string& key) {
  return checkpoint.state[key].clone();
}

class Worker {
 public:
  json answer(const json& request) {
    const std::string what = request.at("do");
    if (what == "make") return make(request);
    if (what == "output") return output(request);
    if (what == "run") return run(request);
    if (what == "macs") return {{"macs", convkit::summarize(*module_, x_).macs}};
    if (what == "train") return train(request);
    return {{"error", "worker: unknown request " + what}};
  }

 private:
  /// Fills variant_, module_ and x_.
  void load(const json& request) {
    const int threads = request.at("threads");
    at::set_num_threads(threads);
    // One thread's time is counted where it runs, so that other processes do not matter.
    clock_ = threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    variant_ = kVariants.at(request.at("variant"));
    // Large results keep their memory, as those of ONNX Runtime and OpenVINO.
    if (variant_.compiled) {
      mallopt(M_MMAP_THRESHOLD, 1 << 30);
      mallopt(M_TRIM_THRESHOLD, INT_MAX);
    }
    module_ = bench::make_module(request.at("workload"));
    const std::string weights = request.value("weights", "");
    if (!weights.empty()) {
      convkit::load_state_dict(*module_, convkit::load_checkpoint(weights).state);
    }
    x_ = loaded(convkit::load_checkpoint(request.at("input").get<std::string>()), "x")
             .contiguous(variant_.layout);
  }

  json make(const json& request) {
    const torch::NoGradGuard no_grad;
    load(request);
    const double begin = milliseconds(CLOCK_MONOTONIC);
    if (variant_.compiled) {
      convkit::CompileOptions options;
      options.memory_format = variant_.layout;
      options.dtype = variant_.dtype;
      options.onednn = variant_.onednn;
      options.winograd = variant_.winograd;
      const convkit::Compiled fast = convkit::compile(module_, x_, options);
      forward_ = fast;
      forward_(x_);
    } else {
      to_layout(*module_, variant_.layout);
      forward_ = [module = module_](const Tensor& x) { return convkit::forward_child(*module, x); };
      forward_(x_);
    }
    const double seconds = 1e-3 * (milliseconds(CLOCK_MONOTONIC) - begin);
    const double peak = memory("VmHWM:");
    forget_peak();
    return {{"seconds", seconds}, {"peak_mb", peak}};
  }

  json output(const json& request) {
    const torch::NoGradGuard no_grad;
    convkit::StateDict result;
    result.insert("y", forward_(x_).contiguous());
    convkit::save_checkpoint(request.at("file"), result);
    return json::object();
  }

  json run(const json& request) {
    const torch::NoGradGuard no_grad;
    const int calls = request.at("calls");
    std::vector<double> times(request.at("repetitions").get<std::size_t>());
    forward_(x_);  // other processes ran since the last time
    const int64_t faults = page_faults();
    for (double& time : times) {
      const double begin = milliseconds(clock_);
      for (int i = 0; i < calls; ++i) forward_(x_);
      time = (milliseconds(clock_) - begin) / calls;
    }
    const double per_call =
        static_cast<double>(page_faults() - faults) / (static_cast<double>(times.size()) * calls);
    return {{"ms", times}, {"faults", per_call}, {"run_peak_mb", memory("VmHWM:")}};
  }

  /// Steps of SGD; a request without a workload goes on with the last one's module.
  json train(const json& request) {
    if (request.contains("workload")) {
      load(request);
      to_layout(*module_, variant_.layout);
      target_ = loaded(convkit::load_checkpoint(request.at("input").get<std::string>()), "target");
      module_->train();
      optimizer_.emplace(module_->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9));
    }
    std::vector<double> times(request.at("steps").get<std::size_t>());
    std::vector<double> losses;
    for (double& time : times) {
      const double begin = milliseconds(clock_);
      optimizer_->zero_grad();
      const Tensor loss =
          torch::nn::functional::cross_entropy(convkit::forward_child(*module_, x_), target_);
      loss.backward();
      optimizer_->step();
      time = milliseconds(clock_) - begin;
      losses.push_back(loss.item<double>());
    }
    return {{"ms", times}, {"losses", losses}};
  }

  Variant variant_;
  clockid_t clock_ = CLOCK_MONOTONIC;
  std::shared_ptr<torch::nn::Module> module_;
  std::function<Tensor(const Tensor&)> forward_;
  Tensor x_;
  Tensor target_;
  std::optional<torch::optim::SGD> optimizer_;
};

}  // namespace

int main() {
  Worker worker;
  for (std::string line; std::getline(std::cin, line);) {
    json answer;
    try {
      answer = worker.answer(json::parse(line));
    } catch (const c10::Error& error) {
      answer = {{"error", error.what_without_backtrace()}};
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << std::endl;
  }
}
