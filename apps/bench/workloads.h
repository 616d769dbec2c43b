#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <string>

namespace bench {

/// The modules that the benchmarks run, in eval mode, by the names of workloads.py.
std::shared_ptr<torch::nn::Module> make_module(const std::string& name);

}  // namespace bench
