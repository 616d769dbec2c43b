#pragma once

#include <convkit/arithmetic.h>

#include <cstdint>
#include <optional>
#include <vector>

/// `convkit draw`: a convolution's arithmetic as a picture.
namespace draw {

/// What a convolution, or a transposed one, does along one axis.
struct Axis {
  int64_t input = 1;
  int64_t kernel = 1;
  int64_t stride = 1;
  convkit::SamePadding padding = {0, 0};
  int64_t dilation = 1;
  int64_t output_padding = 0;
  int64_t output = 1;
};

/// Where a padding comes from: numbers, or one of TensorFlow's two rules.
enum class Padding { kNumbers, kValid, kSame };

struct Convolution {
  bool transposed = false;
  Padding rule = Padding::kNumbers;
  Axis height;
  Axis width;
};

/// A kernel that walks along one axis of a canvas of before + inner + after cells, and stands at
/// `steps` places, `stride` cells apart.
///
/// A convolution's canvas is the padded input, with a step for each output. A transposed one's is
/// what the stamps of its inputs cover, with a step for each input: the inner part is the output,
/// and the rest is what the padding crops. Output padding makes it crop less after than before, or
/// adds cells that no stamp reaches.
struct Walk {
  int64_t steps;
  int64_t inner;
  int64_t before;
  int64_t after;
  int64_t kernel;
  int64_t stride;
  int64_t dilation;

  int64_t canvas() const { return before + inner + after; }
  int64_t extent() const { return dilation * (kernel - 1) + 1; }
};

Walk walk(bool transposed, const Axis& axis);

/// The inner cells on which the kernel's taps lie at `step`.
std::vector<int64_t> taps(const Walk& walk, int64_t step);

/// The steps at which a tap lies on a cell; there may be others between.
struct Visits {
  int64_t first;
  int64_t last;
};

/// For each inner cell its visits; none where no tap ever lies on it.
std::vector<std::optional<Visits>> visits(const Walk& walk);

}  // namespace draw
