#include "image/random_draws.h"

#include <ATen/core/TensorBody.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace convkit::detail {

bool happens(const char* name, double p, const Generator& generator) {
  TORCH_CHECK_VALUE(p >= 0 && p <= 1, name, ": expected p from 0 to 1, got ", p);
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
  return static_cast<int64_t>(std::nearbyint(x));
}

}  // namespace convkit::detail
