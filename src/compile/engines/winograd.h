#pragma once

#include "compile/engines/lanes.h"

#include <cstdint>
#include <vector>

/// Convolutions r x r of stride 1 by F(m x m, r x r): y = A^T [(G w G^T) * (B^T x B)] A for each tile of n = m + r - 1
/// rows and columns of pixels, which gives m. The product * of one place of all tiles is a product of
/// matrices. A pixel of the result of 3x3 takes 9 multiplications by the definition, 4 with m = 2, 2.25 with 4, and
/// 1.78 with 6; of 5x5 it takes 25, 9 with m = 2 and 4 with 4. Float32, channels next to each other.
///
/// The points of the interpolation are 0, infinity, and p and -p of each p: 1 for n = 4, 3/4 and 3/2 for 6
/// (with 1 and 2, which others take, the largest error is four times as large), 1/2, 1 and 2 for 8.
///
/// Source: Lavin and Gray, https://arxiv.org/abs/1509.09308
namespace convkit::detail::winograd {

/// F(tile x tile, kernel x kernel).
struct Form {
  int64_t tile = 4;
  int64_t kernel = 3;

  /// Rows and columns that a tile sees.
  [[nodiscard]] int64_t patch() const { return tile + kernel - 1; }
  /// Products for each pair of channels.
  [[nodiscard]] int64_t places() const { return patch() * patch(); }
};

/// The tiles that there are for a kernel: 2, 4 and 6 for 3x3, 2 and 4 for 5x5, none for others.
std::vector<int64_t> tiles_of(int64_t kernel);

/// The matrix G [n, r], whose rows are [1, p, p^2, ...] / f(p), where f(p) is the product of p's distances from
/// the other points; the last one is [0, ..., 0, 1].
std::vector<std::vector<double>> weight_transform(const Form& form);

/// Pixels [rows, columns, channels] in memory; pitches in numbers.
struct Pixels {
  int64_t row_pitch = 0;
  int64_t column_pitch = 0;
};

/// B^T x B of the pixels that a tile sees: place i of channel c goes to to[i * place_pitch + c].
void transform_patch(const Form& form, const float* patch, Pixels layout, float* to,
                     int64_t place_pitch, int64_t channels);

/// What follows the convolution of a tile: + bias + added, then the activation.
struct Finish {
  const float* bias = nullptr;   ///< of each channel, or none
  const float* added = nullptr;  ///< laid out as the result, or none
  lanes::LaneActivation activation;
};

/// A^T m A of the products of a tile, whose place i of channel k is from[i * place_pitch + k]; writes the
/// first `rows` and `columns` of the tile's pixels.
void transform_tile(const Form& form, const float* from, int64_t place_pitch, float* to,
                    Pixels layout, int64_t rows, int64_t columns, int64_t channels,
                    const Finish& finish);

}  // namespace convkit::detail::winograd
