#pragma once

#include "compile/plan/step.h"
#include "core/strides.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace convkit::detail {

/// The ways in which a plan of oneDNN can compute a convolution of images.
enum class Alternative : int {
  kChannelsLast,  ///< on images whose channels are next to each other, as the plan holds them
  kBlocked,       ///< in layouts of oneDNN's own, with copies before and after it
  kProduct,    ///< as a product of matrices: a 1x1 convolution, or one that sees small images whole
  kTurned,     ///< with height and width exchanged, which moves no memory where one of them is 1
  kWinograd2,  ///< 3x3 or 5x5 of stride 1 with fewer multiplications, by tiles of 2x2: see winograd.h
  kWinograd4,
  kWinograd6,
  kLibTorch,  ///< by LibTorch's own operator
};

/// "channels_last", "blocked", "product", "turned", "winograd 2x2", "winograd 4x4", "winograd 6x6", "LibTorch".
std::string name_of(Alternative alternative);

/// The rows and columns of a tile of Winograd's algorithm; 0 for another alternative.
int64_t tile_of(Alternative alternative);
/// The alternative of such a tile.
std::optional<Alternative> winograd_of(int64_t tile);

/// All of a convolution that says which alternatives it has, and which of them is the fastest one.
struct Geometry {
  bool transposed = false;
  Sizes input;   ///< [N, C, H, W]
  Sizes output;  ///< [N, C', H', W']
  Sizes kernel{1, 1};
  Sizes stride{1, 1};
  Sizes before{0, 0};  ///< padding above the image and left of it
  Sizes after{0, 0};   ///< padding below it and right of it
  Sizes dilation{1, 1};
  int64_t groups = 1;

  static Geometry of(const Convolution& convolution, const Sizes& input, const Sizes& output);
  /// The geometry that a key stands for; nothing for another text.
  static std::optional<Geometry> read(const std::string& key);

  /// "conv2d 1x3x8x8 to 1x4x8x8 kernel 3x3 stride 1x1 padding 1x1 1x1 dilation 1x1 groups 1".
  [[nodiscard]] std::string key() const;

  /// A 1x1 convolution that leaves no pixel out.
  [[nodiscard]] bool is_pointwise() const;
  /// Whether nearly every output sees the whole image: the convolution is one matrix, which is at most
  /// twice as large as its weight.
  [[nodiscard]] bool sees_all() const;
  /// A 3x3 or 5x5 convolution of stride 1, without dilation and groups.
  [[nodiscard]] bool has_tiles() const;
  /// How many tiles of so many rows and columns the output has.
  [[nodiscard]] int64_t tiles(int64_t tile) const;
  [[nodiscard]] bool is_depthwise() const { return groups > 1 && groups == input[1]; }
  [[nodiscard]] int64_t multiplications() const;
};

/// The alternatives that a convolution has by its shape; oneDNN may lack a kernel for some of them.
std::vector<Alternative> alternatives_of(const Geometry& geometry);

/// The alternative of this name, if the geometry has it.
std::optional<Alternative> alternative_of(const Geometry& geometry, std::string_view name);

/// Throws c10::ValueError for a key that stands for no convolution, and for a name of no alternative that
/// this convolution has.
void check_choices(const std::map<std::string, std::string>& choices);

}  // namespace convkit::detail
