#include "compile/engines/winograd.h"

#include <array>
#include <iterator>
#include <limits>

namespace convkit::detail::winograd {

namespace {

using lanes::load;
using lanes::store;

/// Pairs of points beside 0 and infinity, for tiles that see so many rows.
template <int64_t kPatch>
constexpr int64_t kPairs = kPatch / 2 - 1;

template <int64_t kPatch>
using Points = std::array<double, kPairs<kPatch>>;

template <int64_t kPatch>
constexpr Points<kPatch> kPoints{};
template <>
constexpr Points<4> kPoints<4>{1};
template <>
constexpr Points<6> kPoints<6>{0.75, 1.5};
template <>
constexpr Points<8> kPoints<8>{0.5, 1, 2};

/// The coefficients of the product of (x - p^2), but that of point `kWithout`, from the highest one, 1.
template <int64_t kPatch, std::size_t kWithout>
constexpr std::array<double, kPairs<kPatch> + 1> kCoefficients = [] {
  std::array<double, kPairs<kPatch> + 1> all{1};
  for (std::size_t i = 0; i < kPoints<kPatch>.size(); ++i) {
    const double square = kPoints<kPatch>[i] * kPoints<kPatch>[i];
    for (std::size_t k = all.size() - 1; i != kWithout && k > 0; --k) all[k] -= square * all[k - 1];
  }
  return all;
}();

constexpr double power_of(double x, std::size_t exponent) {
  return exponent == 0 ? 1 : x * power_of(x, exponent - 1);
}

// Recursive templates in place of loops: the compiler has to see each coefficient as a constant before it
// takes the registers apart.

/// sum += c[k] d[kHighest - 2 k] of the coefficients from k on.
template <typename V, int64_t kPatch, std::size_t kWithout, int64_t kHighest, std::size_t k = 1>
CONVKIT_INLINE void add_others(const typename V::Register* d, typename V::Register& sum) {
  if constexpr (k < kPairs<kPatch> + (kWithout == kPairs<kPatch>)) {
    constexpr auto kCoefficient = static_cast<float>(kCoefficients<kPatch, kWithout>[k]);
    sum += kCoefficient * d[kHighest - 2 * static_cast<int64_t>(k)];
    add_others<V, kPatch, kWithout, kHighest, k + 1>(d, sum);
  }
}

template <typename V, int64_t kPatch, std::size_t kPair = 0>
CONVKIT_INLINE void into_pairs(const typename V::Register* d, typename V::Register* v) {
  if constexpr (kPair < kPairs<kPatch>) {
    constexpr auto kPoint = static_cast<float>(kPoints<kPatch>[kPair]);
    typename V::Register even = d[kPatch - 2];
    typename V::Register odd = d[kPatch - 3];
    add_others<V, kPatch, kPair, kPatch - 2>(d, even);
    add_others<V, kPatch, kPair, kPatch - 3>(d, odd);
    v[2 * kPair + 1] = even + kPoint * odd;
    v[2 * kPair + 2] = even - kPoint * odd;
    into_pairs<V, kPatch, kPair + 1>(d, v);
  }
}

/// B^T d of the registers d.
template <typename V, int64_t kPatch>
CONVKIT_INLINE void into_places(const typename V::Register* d, typename V::Register* v) {
  constexpr std::size_t kNone = kPairs<kPatch>;
  v[0] = d[kPatch - 2];
  v[kPatch - 1] = d[kPatch - 1];
  add_others<V, kPatch, kNone, kPatch - 2>(d, v[0]);
  add_others<V, kPatch, kNone, kPatch - 1>(d, v[kPatch - 1]);
  into_pairs<V, kPatch>(d, v);
}

/// y[k] += p^k (m + m') for even k, p^k (m - m') for odd ones, of the places m and m' of each p and -p.
template <typename V, int64_t kPatch, int64_t kTile, std::size_t kPair = 0, std::size_t k = 0>
CONVKIT_INLINE void add_pairs(const typename V::Register* m, typename V::Register* y) {
  if constexpr (k == kTile) {
    add_pairs<V, kPatch, kTile, kPair + 1>(m, y);
  } else if constexpr (kPair < kPairs<kPatch>) {
    constexpr auto kPower = static_cast<float>(power_of(kPoints<kPatch>[kPair], k));
    const typename V::Register& plus = m[2 * kPair + 1];
    const typename V::Register& minus = m[2 * kPair + 2];
    const typename V::Register both = k % 2 == 0 ? plus + minus : plus - minus;
    if constexpr (k > 0 && kPair == 0) {
      y[k] = kPower * both;
    } else {
      y[k] += kPower * both;
    }
    add_pairs<V, kPatch, kTile, kPair, k + 1>(m, y);
  }
}

/// A^T m of the registers m.
template <typename V, int64_t kPatch, int64_t kTile>
CONVKIT_INLINE void into_pixels(const typename V::Register* m, typename V::Register* y) {
  y[0] = m[0];
  add_pairs<V, kPatch, kTile>(m, y);
  y[kTile - 1] += m[kPatch - 1];
}

/// Of as many channels as a register has lanes.
template <typename V, int64_t kPatch>
CONVKIT_INLINE void transform_lanes(const float* patch, Pixels layout, float* to,
                                    int64_t place_pitch) {
  typename V::Register half[kPatch][kPatch];
#pragma GCC unroll 8
  for (int64_t j = 0; j < kPatch; ++j) {
    typename V::Register column[kPatch];
    typename V::Register places[kPatch];
#pragma GCC unroll 8
    for (int64_t i = 0; i < kPatch; ++i) {
      load<V>(patch + i * layout.row_pitch + j * layout.column_pitch, column[i]);
    }
    into_places<V, kPatch>(column, places);
#pragma GCC unroll 8
    for (int64_t i = 0; i < kPatch; ++i) half[i][j] = places[i];
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < kPatch; ++i) {
    typename V::Register places[kPatch];
    into_places<V, kPatch>(half[i], places);
#pragma GCC unroll 8
    for (int64_t j = 0; j < kPatch; ++j) {
      store<V>(places[j], to + (i * kPatch + j) * place_pitch);
    }
  }
}

struct Limits {
  float low = 0;
  float high = 0;
};

/// A^T m A of as many channels as a register has lanes, + bias + added, within two limits.
template <typename V, int64_t kPatch, int64_t kTile>
CONVKIT_INLINE void transform_lanes_back(const float* from, int64_t place_pitch, float* to,
                                         Pixels layout, int64_t rows, int64_t columns,
                                         const float* bias, const float* added,
                                         const Limits& limits) {
  typename V::Register half[kTile][kPatch];
#pragma GCC unroll 8
  for (int64_t j = 0; j < kPatch; ++j) {
    typename V::Register column[kPatch];
    typename V::Register pixels[kTile];
#pragma GCC unroll 8
    for (int64_t i = 0; i < kPatch; ++i) {
      load<V>(from + (i * kPatch + j) * place_pitch, column[i]);
    }
    into_pixels<V, kPatch, kTile>(column, pixels);
#pragma GCC unroll 6
    for (int64_t i = 0; i < kTile; ++i) half[i][j] = pixels[i];
  }
  typename V::Register more{};
  if (bias != nullptr) load<V>(bias, more);
  for (int64_t i = 0; i < rows; ++i) {
    typename V::Register pixels[kTile];
    into_pixels<V, kPatch, kTile>(half[i], pixels);
    for (int64_t j = 0; j < columns; ++j) {
      const int64_t place = i * layout.row_pitch + j * layout.column_pitch;
      typename V::Register y = pixels[j] + more;
      if (added != nullptr) {
        typename V::Register other;
        load<V>(added + place, other);
        y += other;
      }
      lanes::clip<V>(y, limits.low, limits.high);
      store<V>(y, to + place);
    }
  }
}

/// `count` numbers of each of rows * columns pixels, from one memory into another.
CONVKIT_INLINE void copy_pixels(const float* from, Pixels of_from, float* to, Pixels of_to,
                                int64_t rows, int64_t columns, int64_t count) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      std::memcpy(to + i * of_to.row_pitch + j * of_to.column_pitch,
                  from + i * of_from.row_pitch + j * of_from.column_pitch,
                  static_cast<std::size_t>(count) * sizeof(float));
    }
  }
}

template <typename V, int64_t kPatch>
CONVKIT_INLINE void transform_all(const float* patch, Pixels layout, float* to, int64_t place_pitch,
                                  int64_t channels) {
  constexpr int64_t kLanes = V::kLanes;
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    transform_lanes<V, kPatch>(patch + c, layout, to + c, place_pitch);
  }
  if (c == channels) return;
  // The last channels, in memory that has room for a whole register.
  constexpr Pixels kRoom{kPatch * kLanes, kLanes};
  float pixels[kPatch * kPatch * kLanes] = {};
  float places[kPatch * kPatch * kLanes];
  copy_pixels(patch + c, layout, pixels, kRoom, kPatch, kPatch, channels - c);
  transform_lanes<V, kPatch>(pixels, kRoom, places, kLanes);
  copy_pixels(places, {0, kLanes}, to + c, {0, place_pitch}, 1, kPatch * kPatch, channels - c);
}

template <typename V, int64_t kPatch, int64_t kTile>
CONVKIT_INLINE void transform_all_back(const float* from, int64_t place_pitch, float* to,
                                       Pixels layout, int64_t rows, int64_t columns,
                                       int64_t channels, const Finish& finish) {
  const bool clips = finish.activation.kind == lanes::LaneActivation::Kind::kClip;
  Limits limits;
  limits.low = clips ? finish.activation.a : -std::numeric_limits<float>::infinity();
  limits.high = clips ? finish.activation.b : std::numeric_limits<float>::infinity();
  const auto from_channel = [](const float* numbers, int64_t k) {
    return numbers == nullptr ? nullptr : numbers + k;
  };
  constexpr int64_t kLanes = V::kLanes;
  int64_t k = 0;
  for (; k + kLanes <= channels; k += kLanes) {
    transform_lanes_back<V, kPatch, kTile>(from + k, place_pitch, to + k, layout, rows, columns,
                                           from_channel(finish.bias, k),
                                           from_channel(finish.added, k), limits);
  }
  if (k == channels) return;
  const int64_t rest = channels - k;
  constexpr int64_t kPlaces = kPatch * kPatch;
  constexpr Pixels kRoom{kTile * kLanes, kLanes};
  float places[kPlaces * kLanes] = {};
  float pixels[kTile * kTile * kLanes];
  float bias[kLanes] = {};
  float added[kTile * kTile * kLanes] = {};
  copy_pixels(from + k, {0, place_pitch}, places, {0, kLanes}, 1, kPlaces, rest);
  if (finish.bias != nullptr) copy_pixels(finish.bias + k, {}, bias, {}, 1, 1, rest);
  if (finish.added != nullptr) {
    copy_pixels(finish.added + k, layout, added, kRoom, rows, columns, rest);
  }
  transform_lanes_back<V, kPatch, kTile>(places, kLanes, pixels, kRoom, rows, columns, bias, added,
                                         limits);
  copy_pixels(pixels, kRoom, to + k, layout, rows, columns, rest);
}

template <typename V>
CONVKIT_INLINE void activate_all(float* numbers, int64_t count,
                                 const lanes::LaneActivation& activation) {
  typename V::Register y;
  int64_t k = 0;
  for (; k + V::kLanes <= count; k += V::kLanes) {
    load<V>(numbers + k, y);
    lanes::activate<V>(y, activation);
    store<V>(y, numbers + k);
  }
  if (k == count) return;
  load<V>(numbers + k, count - k, y);
  lanes::activate<V>(y, activation);
  store<V>(y, count - k, numbers + k);
}

template <int64_t kPatch>
std::vector<std::vector<double>> weight_rows(int64_t kernel) {
  const auto row = [&](double point, double f) {
    std::vector<double> powers;
    for (double power = 1; std::ssize(powers) < kernel; power *= point) powers.push_back(power / f);
    return powers;
  };
  const auto& points = kPoints<kPatch>;
  double at_zero = 1;
  for (const double p : points) at_zero *= -p * p;
  std::vector<std::vector<double>> rows{row(0, at_zero)};
  for (const double p : points) {
    double f = 2 * p * p;
    for (const double q : points) {
      if (q != p) f *= p * p - q * q;
    }
    rows.push_back(row(p, f));
    rows.push_back(row(-p, f));
  }
  rows.emplace_back(static_cast<std::size_t>(kernel)).back() = 1;
  return rows;
}

}  // namespace

std::vector<int64_t> tiles_of(int64_t kernel) {
  if (kernel == 3) return {2, 4, 6};
  if (kernel == 5) return {2, 4};
  return {};
}

std::vector<std::vector<double>> weight_transform(const Form& form) {
  const int64_t patch = form.patch();
  return patch == 4   ? weight_rows<4>(form.kernel)
         : patch == 6 ? weight_rows<6>(form.kernel)
                      : weight_rows<8>(form.kernel);
}

void transform_patch(const Form& form, const float* patch, Pixels layout, float* to,
                     int64_t place_pitch, int64_t channels) {
  lanes::on_this_processor([&]<typename V>() CONVKIT_INLINE_LAMBDA {
    if (form.patch() == 4) {
      transform_all<V, 4>(patch, layout, to, place_pitch, channels);
    } else if (form.patch() == 6) {
      transform_all<V, 6>(patch, layout, to, place_pitch, channels);
    } else {
      transform_all<V, 8>(patch, layout, to, place_pitch, channels);
    }
  });
}

void transform_tile(const Form& form, const float* from, int64_t place_pitch, float* to,
                    Pixels layout, int64_t rows, int64_t columns, int64_t channels,
                    const Finish& finish) {
  lanes::on_this_processor([&]<typename V>() CONVKIT_INLINE_LAMBDA {
    const auto take = [&]<int64_t kPatch, int64_t kTile>() CONVKIT_INLINE_LAMBDA {
      transform_all_back<V, kPatch, kTile>(from, place_pitch, to, layout, rows, columns, channels,
                                           finish);
    };
    if (form.patch() == 4) {
      take.template operator()<4, 2>();
    } else if (form.patch() == 6 && form.tile == 4) {
      take.template operator()<6, 4>();
    } else if (form.patch() == 6) {
      take.template operator()<6, 2>();
    } else if (form.tile == 6) {
      take.template operator()<8, 6>();
    } else {
      take.template operator()<8, 4>();
    }
    using Kind = lanes::LaneActivation::Kind;
    const Kind kind = finish.activation.kind;
    if (kind == Kind::kNone || kind == Kind::kClip) return;
    // What takes more than two limits, in a pass of its own.
    for (int64_t pixel = 0; pixel < rows * columns; ++pixel) {
      const int64_t row = pixel / columns * layout.row_pitch;
      activate_all<V>(to + row + pixel % columns * layout.column_pitch, channels,
                      finish.activation);
    }
  });
}

}  // namespace convkit::detail::winograd
