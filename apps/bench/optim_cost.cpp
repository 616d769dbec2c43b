// Times steps of optimizers on the parameters of ResNet-18, as optimizers.py asks for them.
#include <convkit/models/resnet.h>
#include <convkit/optim.h>

#include <torch/types.h>
#include <torch/utils.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace convkit::optim;

template <typename Options>
std::unique_ptr<Optimizer> make(const std::vector<torch::Tensor>& params, Options options = {}) {
  return std::make_unique<OptimizerOf<Options>>(params, options);
}

std::unique_ptr<Optimizer> optimizer(const std::string& name,
                                     const std::vector<torch::Tensor>& params) {
  if (name == "SGD") return make(params, SGDOptions{.momentum = 0.9});
  if (name == "SGD fused") return make(params, SGDOptions{.momentum = 0.9, .fused = true});
  if (name == "Adam") return make<AdamOptions>(params);
  if (name == "Adam fused") return make(params, AdamOptions{.fused = true});
  if (name == "AdamW") return make<AdamWOptions>(params);
  if (name == "AdamW fused") return make(params, AdamWOptions{.fused = true});
  if (name == "RMSprop") return make<RMSpropOptions>(params);
  if (name == "Adagrad") return make<AdagradOptions>(params);
  if (name == "Adagrad fused") return make(params, AdagradOptions{.fused = true});
  if (name == "NAdam") return make<NAdamOptions>(params);
  if (name == "RAdam") return make<RAdamOptions>(params);
  throw std::invalid_argument("no optimizer " + name);
}

}  // namespace

int main(int, char** argv) {
  torch::set_num_threads(std::stoi(argv[1]));
  std::unique_ptr<Optimizer> own;  // one at a time, as in optimizers.py
  std::string kind;
  const std::vector<torch::Tensor> params = convkit::models::resnet18()->parameters();
  for (const torch::Tensor& param : params) param.mutable_grad() = torch::randn(param.sizes());
  std::string name;
  while (std::getline(std::cin, name)) {
    if (kind != name) own = optimizer(name, params);
    kind = name;
    const auto start = std::chrono::steady_clock::now();
    own->step();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    std::cout << taken.count() << std::endl;
  }
}
