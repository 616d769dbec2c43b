#pragma once

#include "compile/engines/lanes.h"

#include <array>
#include <cstdint>
#include <vector>

/// Convolutions 3x3 of stride 1 by F(m x m, 3x3): y = A^T [(G w G^T) * (B^T x B)] A for each tile of m + 2
/// rows and columns of pixels, which gives m. The product * of one place of all tiles is a product of
/// matrices. A pixel of the result takes 9 multiplications by the definition, 4 with m = 2, 2.25 with 4, and
/// 1.78 with 6. Float32, channels next to each other.
///
/// The points of the interpolation are 0, infinity, and p and -p of each p: 1 for m = 2, 3/4 and 3/2 for 4
/// (with 1 and 2, which others take, the largest error is four times as large), 1/2, 1 and 2 for 6.
///
/// Source: Lavin and Gray, https://arxiv.org/abs/1509.09308
namespace convkit::detail::winograd {

/// The m that there are: rows and columns of a tile's result.
constexpr std::array<int64_t, 3> kTiles{2, 4, 6};

/// Rows and columns that a tile sees.
constexpr int64_t patch_of(int64_t tile) {
  return tile + 2;
}

/// Products for each pair of channels.
constexpr int64_t places_of(int64_t tile) {
  return patch_of(tile) * patch_of(tile);
}

/// The matrix G [m + 2, 3], whose rows are [1, p, p^2] / f(p), where f(p) is the product of p's distances from
/// the other points; the last one is [0, 0, 1].
std::vector<std::array<double, 3>> weight_transform(int64_t tile);

/// Pixels [rows, columns, channels] in memory; pitches in numbers.
struct Pixels {
  int64_t row_pitch = 0;
  int64_t column_pitch = 0;
};

/// B^T x B of the pixels that a tile sees: place i of channel c goes to to[i * place_pitch + c].
void transform_patch(int64_t tile, const float* patch, Pixels layout, float* to,
                     int64_t place_pitch, int64_t channels);

/// What follows the convolution of a tile: + bias + added, then the activation.
struct Finish {
  const float* bias = nullptr;   ///< of each channel, or none
  const float* added = nullptr;  ///< laid out as the result, or none
  lanes::LaneActivation activation;
};

/// A^T m A of the products of a tile, whose place i of channel k is from[i * place_pitch + k]; writes the
/// first `rows` and `columns` of the tile's pixels.
void transform_tile(int64_t tile, const float* from, int64_t place_pitch, float* to, Pixels layout,
                    int64_t rows, int64_t columns, int64_t channels, const Finish& finish);

}  // namespace convkit::detail::winograd
