#pragma once

#include <array>
#include <cstdint>

/// Convolutions 3x3 of stride 1 by F(4x4, 3x3): y = A^T [(G w G^T) * (B^T x B)] A for each tile of 6x6
/// pixels, which gives 4x4. The product * of one place of all tiles is a product of matrices; it takes 36
/// multiplications where the sums of the definition take 144. Float32, channels next to each other.
///
/// The points of the interpolation are 0, 3/4, -3/4, 3/2, -3/2 and infinity: with 0, 1, -1, 2, -2, which
/// others take, the largest error is four times as large.
///
/// Source: Lavin and Gray, https://arxiv.org/abs/1509.09308
namespace convkit::detail::winograd {

constexpr int64_t kTile = 4;                  ///< rows and columns of a tile's result
constexpr int64_t kPatch = 6;                 ///< rows and columns that it sees
constexpr int64_t kPlaces = kPatch * kPatch;  ///< products for each pair of channels

/// The matrix G [6, 3], whose rows are [1, p, p^2] / f(p), where f(p) is the product of p's distances from
/// the other points.
std::array<std::array<double, 3>, kPatch> weight_transform();

/// Pixels [rows, columns, channels] in memory; pitches in numbers.
struct Pixels {
  int64_t row_pitch = 0;
  int64_t column_pitch = 0;
};

/// B^T x B of a patch of 6x6 pixels: place i of channel c goes to to[i * place_pitch + c].
void transform_patch(const float* patch, Pixels layout, float* to, int64_t place_pitch,
                     int64_t channels);

/// What follows the convolution of a tile: + bias + added, then ReLU.
struct Finish {
  const float* bias = nullptr;   ///< of each channel, or none
  const float* added = nullptr;  ///< laid out as the result, or none
  bool relu = false;
};

/// A^T m A of the products of a tile, whose place i of channel k is from[i * place_pitch + k]; writes the
/// first `rows` and `columns` of 4x4 pixels.
void transform_tile(const float* from, int64_t place_pitch, float* to, Pixels layout, int64_t rows,
                    int64_t columns, int64_t channels, const Finish& finish);

}  // namespace convkit::detail::winograd
