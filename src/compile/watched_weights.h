#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace convkit::detail {

/// The parameters and buffers of a module, and its modules, as they were when the plans were made.
class WatchedWeights {
 public:
  void look_at(const torch::nn::Module& module);

  /// Whether a tensor has other memory, another version or other samples of its elements.
  [[nodiscard]] bool have_changed() const;

  /// Throws c10::Error where one of the modules is in training mode.
  void check_eval_mode() const;

 private:
  /// A tensor as a glance shows it. LibTorch's optimizers, and batch norms in training mode, write past the
  /// version counters: so the glance has four elements, too.
  struct Glance {
    const void* data = nullptr;
    uint32_t version = 0;
    std::array<int64_t, 4> samples{};
    bool operator==(const Glance&) const = default;
  };
  static Glance glance_at(const torch::Tensor& tensor);

  std::vector<std::pair<torch::Tensor, Glance>> tensors_;
  std::vector<std::pair<std::string, std::shared_ptr<torch::nn::Module>>> modules_;
};

}  // namespace convkit::detail
