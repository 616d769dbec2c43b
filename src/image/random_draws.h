#pragma once

#include <ATen/core/Generator.h>

#include <array>
#include <cstdint>
#include <optional>

/// The draws of torchvision's transforms.
namespace convkit::detail {

using Generator = std::optional<at::Generator>;

/// Refuses a p outside of 0 to 1.
bool happens(const char* name, double p, const Generator& generator);

/// A whole number from 0 to end - 1.
int64_t below(int64_t end, const Generator& generator);

double uniform(double from, double to, const Generator& generator);

/// The ratio of two sides, whose logarithm is uniform.
double ratio_between(const std::array<double, 2>& ratio, const Generator& generator);

/// Python's round().
int64_t rounded(double x);

}  // namespace convkit::detail
