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
  void look_at(const std::shared_ptr<torch::nn::Module>& module);

  /// Whether a tensor has other memory, another version or other samples of its elements.
  [[nodiscard]] bool have_changed() const;

  /// The memory of all tensors.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  /// Throws c10::Error where one of the modules is in training mode.
  void check_eval_mode() const;

 private:
  /// A tensor and what a glance showed of it. LibTorch's optimizers, and batch norms in training mode, write
  /// past the version counters: so the glance has four elements, too. Tensors that have no strided
  /// memory on the CPU have none of these, and sparse ones no address.
  class Glance {
   public:
    explicit Glance(torch::Tensor tensor);
    [[nodiscard]] bool has_changed() const;

   private:
    static constexpr std::size_t kSamples = 4;
    using Samples = std::array<int64_t, kSamples>;

    void find_samples();
    [[nodiscard]] const void* memory() const;
    [[nodiscard]] uint32_t version() const;
    [[nodiscard]] Samples samples() const;

    torch::Tensor tensor_;
    bool has_memory_ = false;
    std::size_t sample_bytes_ = 0;  ///< of each; 0 without samples
    std::array<std::size_t, kSamples> offsets_{};
    // As it was:
    const void* data_ = nullptr;
    int64_t numel_ = 0;
    uint32_t version_ = 0;
    Samples samples_{};
  };

  std::vector<Glance> tensors_;
  std::size_t bytes_ = 0;
  std::vector<std::pair<std::string, std::shared_ptr<torch::nn::Module>>> modules_;
};

}  // namespace convkit::detail
