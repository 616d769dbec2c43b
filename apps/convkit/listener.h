#pragma once

#include "flow.h"

#include <convkit/module.h>

#include <torch/csrc/autograd/function.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace draw {

/// When an operator ran: operators have even times, so that a call can begin between two of them.
int64_t time_of(const torch::autograd::Node& node);

/// Is told of the calls that convkit's holders make, for as long as it lives.
class Listener : public convkit::detail::CallObserver {
 public:
  struct Heard {
    Call call;
    int64_t end = 0;
    std::vector<torch::autograd::Edge> inputs;
  };

  explicit Listener(const torch::nn::Module& network);
  ~Listener() override;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void before(const torch::nn::Module& module, const Tensors& inputs) override;
  void after(const torch::nn::Module& module, const Tensors& outputs) override;

  std::vector<Heard> heard;

 private:
  CallObserver* before_;
  std::map<const torch::nn::Module*, std::string> paths_;
  std::vector<int64_t> open_;
};

}  // namespace draw
