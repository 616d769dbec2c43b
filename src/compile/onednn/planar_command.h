#pragma once

#include "compile/onednn/program.h"

namespace convkit::detail {

/// How many numbers each thread needs in `work`.
int64_t planar_work(const PlanarCommand& command);

/// Computes the convolutions strip by strip of rows, on the command's threads; `work` is for all of them.
void run_planar(const PlanarCommand& command, const float* from, float* to, float* work);

}  // namespace convkit::detail
