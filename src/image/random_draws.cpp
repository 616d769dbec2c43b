#include "image/random_draws.h"

#include <ATen/core/TensorBody.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace convkit::detail {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// LibTorch draws numbers of float32.
void check_drawn(const char* name, const char* what, double number) {
  TORCH_CHECK_VALUE(number <= std::numeric_limits<float>::max(), name, ": expected ", what,
                    " that float32 has, got ", number);
}

/// The range that is meant, around `center`.
std::optional<Numbers> range_of(const char* name, const char* what,
                                const std::vector<double>& given, double center,
                                const Numbers& bounds) {
  if (given.empty()) return std::nullopt;
  TORCH_CHECK_VALUE(given.size() <= 2, name, ": expected at most 2 numbers of ", what, ", got ",
                    given.size());
  Numbers range{given.front(), given.back()};
  if (given.size() == 1) {
    TORCH_CHECK_VALUE(given[0] >= 0, name, ": expected ", what, " >= 0, got ", given[0]);
    range = {center - given[0], center + given[0]};
    if (bounds[0] == 0) range[0] = std::max(range[0], 0.0);
  }
  TORCH_CHECK_VALUE(bounds[0] <= range[0] && range[0] <= range[1] && range[1] <= bounds[1], name,
                    ": expected a range of ", what, " that rises from ", bounds[0], " to ",
                    bounds[1], " at most, got ", range[0], " to ", range[1]);
  check_drawn(name, what, range[1]);
  if (range[0] == center && range[1] == center) return std::nullopt;
  return range;
}

}  // namespace

void check_p(const char* name, double p) {
  TORCH_CHECK_VALUE(p >= 0 && p <= 1, name, ": expected p from 0 to 1, got ", p);
}

void check_area(const char* name, const Numbers& scale, const Numbers& ratio, double most) {
  TORCH_CHECK_VALUE(0 <= scale[0] && scale[0] <= scale[1] && scale[1] <= most, name,
                    ": expected a scale with 0 <= least <= most", most == 1 ? " <= 1" : "",
                    ", got ", scale[0], " and ", scale[1]);
  check_drawn(name, "a scale", scale[1]);
  TORCH_CHECK_VALUE(ratio[0] > 0 && ratio[0] <= ratio[1], name,
                    ": expected a ratio with 0 < least <= most, got ", ratio[0], " and ", ratio[1]);
  // Its logarithm is drawn.
  TORCH_CHECK_VALUE(static_cast<float>(ratio[0]) > 0, name,
                    ": expected a ratio that float32 has, got ", ratio[0]);
  check_drawn(name, "a ratio", ratio[1]);
}

void check_sigma(const char* name, const Numbers& sigma) {
  TORCH_CHECK_VALUE(sigma[0] > 0 && sigma[0] <= sigma[1], name,
                    ": expected a sigma with 0 < least <= most, got ", sigma[0], " and ", sigma[1]);
  TORCH_CHECK_VALUE(static_cast<float>(sigma[0]) > 0, name,
                    ": expected a sigma that float32 has, got ", sigma[0]);
  check_drawn(name, "a sigma", sigma[1]);
}

std::array<std::optional<Numbers>, 4> ranges_of(const char* name,
                                                const transforms::ColorJitterOptions& options) {
  const Numbers factors{0, kInfinity};
  return {range_of(name, "brightness", options.brightness, 1, factors),
          range_of(name, "contrast", options.contrast, 1, factors),
          range_of(name, "saturation", options.saturation, 1, factors),
          range_of(name, "hue", options.hue, 0, {-0.5, 0.5})};
}

bool happens(const char* name, double p, const Generator& generator) {
  check_p(name, p);
  return at::rand({1}, generator, at::kFloat).item<float>() < p;
}

int64_t below(int64_t end, const Generator& generator) {
  return at::randint(0, end, {1}, generator, at::kLong).item<int64_t>();
}

double uniform(double from, double to, const Generator& generator) {
  return at::empty({1}, at::kFloat).uniform_(from, to, generator).item<float>();
}

double ratio_between(const std::array<double, 2>& ratio, const Generator& generator) {
  // torchvision takes the logarithm in float32, and so the exponential.
  const auto logarithm = [](double x) {
    return double{at::tensor(x, at::kFloat).log().item<float>()};
  };
  return at::empty({1}, at::kFloat)
      .uniform_(logarithm(ratio[0]), logarithm(ratio[1]), generator)
      .exp()
      .item<float>();
}

int64_t rounded(double x) {
  constexpr double kMost = 0x1p62;  // more than any side has
  return x < kMost ? static_cast<int64_t>(std::nearbyint(x)) : static_cast<int64_t>(kMost);
}

}  // namespace convkit::detail
