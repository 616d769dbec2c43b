#pragma once

#include "compile/onednn/program.h"

#include <array>
#include <vector>

namespace convkit::detail {

/// One thread's memory for a WinogradCommand, and oneDNN's handles of it.
class WinogradThread {
 public:
  /// How many numbers a thread needs.
  static int64_t numbers(const WinogradCommand& command);

  WinogradThread(const WinogradCommand& command, float* memory);

  /// The product of the places of a group with the weights.
  void multiply(const WinogradCommand& command) const;

  float* places;    ///< [patch * patch, group, C]: the transformed pixels of a group
  float* products;  ///< [patch * patch, group, K]
  float* patch;     ///< [patch, patch, C]: room for a tile that reaches beyond the image

 private:
  dnnl::stream stream_;
  std::array<dnnl::memory, 4> memories_;
  std::array<dnnl_exec_arg_t, 4> arguments_{};
};

/// Where the tensors of a WinogradCommand begin in one call.
struct WinogradData {
  const float* from = nullptr;
  float* to = nullptr;
  const float* added = nullptr;
};

/// Computes a convolution group by group of tiles, on as many threads as there are memories.
void run_winograd(const WinogradCommand& command, const WinogradData& data,
                  const std::vector<WinogradThread>& memories);

}  // namespace convkit::detail
