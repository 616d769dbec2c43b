#pragma once

#include <convkit/random_color.h>

#include <ATen/core/Generator.h>

#include <array>
#include <cstdint>
#include <limits>
#include <optional>

/// The draws of torchvision's transforms, and what they refuse for any image. `name` is the function's or
/// the module's.
namespace convkit::detail {

using Generator = std::optional<at::Generator>;
using Numbers = std::array<double, 2>;

void check_p(const char* name, double p);
/// The scale may have `most` above it.
void check_area(const char* name, const Numbers& scale, const Numbers& ratio,
                double most = std::numeric_limits<double>::infinity());
void check_sigma(const char* name, const Numbers& sigma);

/// The ranges of brightness, contrast, saturation and hue, or none where nothing can change.
std::array<std::optional<Numbers>, 4> ranges_of(const char* name,
                                                const transforms::ColorJitterOptions& options);

/// Refuses a p outside of 0 to 1.
bool happens(const char* name, double p, const Generator& generator);

/// A whole number from 0 to end - 1.
int64_t below(int64_t end, const Generator& generator);

double uniform(double from, double to, const Generator& generator);

/// The ratio of two sides, whose logarithm is uniform.
double ratio_between(const std::array<double, 2>& ratio, const Generator& generator);

/// Python's round(); what is too large or no number becomes more than any side has.
int64_t rounded(double x);

}  // namespace convkit::detail
