// The C++ side of checkpoint.py: reads commands from the standard input, answers each with a number.
//
//     load FILE             seconds of load_checkpoint()
//     read FILE             seconds to load and to touch every page of it
//     memory FILE           bytes of private memory that a load adds, before a tensor is touched
//     save FILE OUT         seconds of save_checkpoint(), the tensors being in memory
//     load_state_dict FILE  seconds of load_state_dict() over those of memcpy of the same bytes
#include <convkit/checkpoint.h>
#include <convkit/module.h>

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <vector>

namespace {

using convkit::StateDict;

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

int64_t touch(const StateDict& state) {
  int64_t sum = 0;
  for (const auto& entry : state) {
    const auto* bytes = static_cast<const char*>(entry.value().data_ptr());
    for (std::size_t i = 0; i < entry.value().nbytes(); i += 4096) sum += bytes[i];
  }
  return sum;
}

/// What this process alone has in memory.
double private_bytes() {
  std::ifstream file("/proc/self/smaps_rollup");
  double sum = 0;
  for (std::string word; file >> word;) {
    if (word != "Private_Clean:" && word != "Private_Dirty:") continue;
    double kilobytes = 0;
    file >> kilobytes;
    sum += 1024 * kilobytes;
  }
  return sum;
}

/// A module with the parameters of a state_dict.
struct Net : torch::nn::Module {
  explicit Net(const StateDict& state) {
    for (const auto& entry : state) {
      register_parameter(entry.key(), entry.value().clone(), /*requires_grad=*/false);
    }
  }
};

double load_state_dict_over_memcpy(const StateDict& state) {
  Net net(state);
  const StateDict source(state);
  std::vector<torch::Tensor> copies;
  for (const auto& entry : state) copies.push_back(entry.value().clone());
  std::vector<double> ratios;
  for (int i = 0; i < 11; ++i) {
    const double ours = seconds([&] { convkit::load_state_dict(net, source); });
    const double raw = seconds([&] {
      for (std::size_t j = 0; j < copies.size(); ++j) {
        std::memcpy(copies[j].data_ptr(), source[j].value().data_ptr(), copies[j].nbytes());
      }
    });
    ratios.push_back(ours / raw);
  }
  std::nth_element(ratios.begin(), ratios.begin() + 5, ratios.end());
  return ratios[5];
}

}  // namespace

int main() {
  at::set_num_threads(1);
  std::string command;
  std::string file;
  int64_t sum = 0;
  while (std::cin >> command >> file) {
    StateDict state;
    double answer = 0;
    if (command == "load" || command == "read") {
      answer = seconds([&] {
        state = convkit::load_checkpoint(file).state;
        if (command == "read") sum += touch(state);
      });
    } else if (command == "memory") {
      const double before = private_bytes();
      state = convkit::load_checkpoint(file).state;
      answer = private_bytes() - before;
    } else if (command == "save") {
      std::string out;
      std::cin >> out;
      for (const auto& entry : convkit::load_checkpoint(file).state) {
        state.insert(entry.key(), entry.value().clone());
      }
      answer = seconds([&] { convkit::save_checkpoint(out, state); });
    } else {
      answer = load_state_dict_over_memcpy(convkit::load_checkpoint(file).state);
    }
    std::printf("%.9g\n", answer);
    std::fflush(stdout);
  }
  return sum == 1 ? 1 : 0;  // so that the reads are needed
}
