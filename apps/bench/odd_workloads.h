#pragma once

#include <convkit/compile.h>

#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bench {

/// A network or a layer that compile() was not made for, with fresh weights, and the size of its input.
struct OddWorkload {
  using Forward = std::function<convkit::Compiled::Tensors(const convkit::Compiled::Tensors&)>;

  std::string title;
  std::vector<int64_t> sizes;
  std::shared_ptr<torch::nn::Module> module;
  Forward forward;
};

/// Networks of others, then layers: sound as an image one pixel high or wide, large kernels, few
/// channels, many groups, very wide and very small images, wide dilation, transposed. Those whose
/// titles contain `filter`.
std::vector<OddWorkload> odd_workloads(const std::string& filter);

}  // namespace bench
