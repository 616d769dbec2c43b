#pragma once

#include "compile/onednn/program.h"

namespace convkit::detail {

/// Where the tensors of a WinogradCommand begin in one call.
struct WinogradData {
  const float* from = nullptr;
  float* to = nullptr;
  const float* added = nullptr;
  float* work = nullptr;
};

/// How many numbers each thread needs in `work`.
int64_t winograd_work(const WinogradCommand& command);

/// Computes a convolution group by group of tiles, on the command's threads.
void run_winograd(const WinogradCommand& command, const WinogradData& data);

}  // namespace convkit::detail
