#include "compile/engines/winograd.h"

#include <cstring>

// The same code for three sets of instructions, of which the processor's is taken when the program starts.
// ThreadSanitizer is not ready yet when that happens.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_THREAD__)
#define CONVKIT_CLONES [[gnu::target_clones("arch=skylake-avx512", "arch=haswell", "default")]]
#else
#define CONVKIT_CLONES
#endif

namespace convkit::detail::winograd {

namespace {

constexpr int64_t kLanes = 16;
// A register of AVX-512, or two or four of others.
using Lanes [[gnu::vector_size(64), gnu::aligned(4), gnu::may_alias]] = float;
using Register [[gnu::vector_size(64)]] = float;

constexpr float kA = 0.75F;
constexpr float kB = 1.5F;
constexpr float kA2 = kA * kA;
constexpr float kB2 = kB * kB;

// By reference: how a processor without such registers passes them depends on the compiler.
#define CONVKIT_INLINE [[gnu::always_inline]] inline

/// B^T d of six registers.
CONVKIT_INLINE void into_places(const Register* d, Register* v) {
  v[0] = kA2 * kB2 * d[0] - (kA2 + kB2) * d[2] + d[4];
  const Register even_a = d[4] - kB2 * d[2];
  const Register odd_a = kA * d[3] - kA * kB2 * d[1];
  v[1] = even_a + odd_a;
  v[2] = even_a - odd_a;
  const Register even_b = d[4] - kA2 * d[2];
  const Register odd_b = kB * d[3] - kB * kA2 * d[1];
  v[3] = even_b + odd_b;
  v[4] = even_b - odd_b;
  v[5] = kA2 * kB2 * d[1] - (kA2 + kB2) * d[3] + d[5];
}

/// A^T m of six registers.
CONVKIT_INLINE void into_pixels(const Register* m, Register* y) {
  const Register sum_a = m[1] + m[2];
  const Register difference_a = m[1] - m[2];
  const Register sum_b = m[3] + m[4];
  const Register difference_b = m[3] - m[4];
  y[0] = m[0] + sum_a + sum_b;
  y[1] = kA * difference_a + kB * difference_b;
  y[2] = kA2 * sum_a + kB2 * sum_b;
  y[3] = kA * kA2 * difference_a + kB * kB2 * difference_b + m[5];
}

/// All lanes, or the first `count` of them.
template <bool kWhole>
CONVKIT_INLINE void load(const float* from, int64_t count, Register& lanes) {
  if constexpr (kWhole) {
    lanes = *reinterpret_cast<const Lanes*>(from);
  } else {
    lanes = Register{};
    std::memcpy(&lanes, from, static_cast<std::size_t>(count) * sizeof(float));
  }
}

template <bool kWhole>
CONVKIT_INLINE void store(const Register& lanes, float* to, int64_t count) {
  if constexpr (kWhole) {
    *reinterpret_cast<Lanes*>(to) = lanes;
  } else {
    std::memcpy(to, &lanes, static_cast<std::size_t>(count) * sizeof(float));
  }
}

template <bool kWhole>
CONVKIT_INLINE void transform_lanes(const float* patch, Pixels layout, float* to,
                                    int64_t place_pitch, int64_t count) {
  Register half[kPatch][kPatch];
#pragma GCC unroll 6
  for (int64_t j = 0; j < kPatch; ++j) {
    Register column[kPatch];
    Register places[kPatch];
#pragma GCC unroll 6
    for (int64_t i = 0; i < kPatch; ++i) {
      load<kWhole>(patch + i * layout.row_pitch + j * layout.column_pitch, count, column[i]);
    }
    into_places(column, places);
#pragma GCC unroll 6
    for (int64_t i = 0; i < kPatch; ++i) half[i][j] = places[i];
  }
#pragma GCC unroll 6
  for (int64_t i = 0; i < kPatch; ++i) {
    Register places[kPatch];
    into_places(half[i], places);
#pragma GCC unroll 6
    for (int64_t j = 0; j < kPatch; ++j) {
      store<kWhole>(places[j], to + (i * kPatch + j) * place_pitch, count);
    }
  }
}

template <bool kWhole>
CONVKIT_INLINE void finish_lanes(const Register& pixel, const Register& bias, const float* added,
                                 bool relu, float* to, int64_t count) {
  Register y = pixel + bias;
  if (added != nullptr) {
    Register more;
    load<kWhole>(added, count, more);
    y += more;
  }
  if (relu) y = y < 0 ? Register{} : y;  // as ReLU does: NaN stays NaN
  store<kWhole>(y, to, count);
}

template <bool kWhole>
CONVKIT_INLINE void transform_back(const float* from, int64_t place_pitch, float* to, Pixels layout,
                                   int64_t rows, int64_t columns, int64_t count,
                                   const Finish& finish) {
  Register half[kTile][kPatch];
#pragma GCC unroll 6
  for (int64_t j = 0; j < kPatch; ++j) {
    Register column[kPatch];
    Register pixels[kTile];
#pragma GCC unroll 6
    for (int64_t i = 0; i < kPatch; ++i) {
      load<kWhole>(from + (i * kPatch + j) * place_pitch, count, column[i]);
    }
    into_pixels(column, pixels);
#pragma GCC unroll 4
    for (int64_t i = 0; i < kTile; ++i) half[i][j] = pixels[i];
  }
  Register bias{};
  if (finish.bias != nullptr) load<kWhole>(finish.bias, count, bias);
  for (int64_t i = 0; i < rows; ++i) {
    Register pixels[kTile];
    into_pixels(half[i], pixels);
    float* row = to + i * layout.row_pitch;
    const float* added = finish.added == nullptr ? nullptr : finish.added + i * layout.row_pitch;
    for (int64_t j = 0; j < columns; ++j) {
      const int64_t place = j * layout.column_pitch;
      finish_lanes<kWhole>(pixels[j], bias, added == nullptr ? nullptr : added + place, finish.relu,
                           row + place, count);
    }
  }
}

}  // namespace

std::array<std::array<double, 3>, kPatch> weight_transform() {
  const auto row = [](double p, double f) { return std::array{1 / f, p / f, p * p / f}; };
  const double a = kA;
  const double b = kB;
  const double f_a = 2 * a * a * (a * a - b * b);
  const double f_b = 2 * b * b * (b * b - a * a);
  return {row(0, a * a * b * b), row(a, f_a), row(-a, f_a), row(b, f_b), row(-b, f_b), {0, 0, 1}};
}

CONVKIT_CLONES
void transform_patch(const float* patch, Pixels layout, float* to, int64_t place_pitch,
                     int64_t channels) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    transform_lanes<true>(patch + c, layout, to + c, place_pitch, kLanes);
  }
  if (c < channels) transform_lanes<false>(patch + c, layout, to + c, place_pitch, channels - c);
}

CONVKIT_CLONES
void transform_tile(const float* from, int64_t place_pitch, float* to, Pixels layout, int64_t rows,
                    int64_t columns, int64_t channels, const Finish& finish) {
  Finish now = finish;
  const auto move = [&](int64_t count) {
    if (now.bias != nullptr) now.bias += count;
    if (now.added != nullptr) now.added += count;
  };
  int64_t k = 0;
  for (; k + kLanes <= channels; k += kLanes) {
    transform_back<true>(from + k, place_pitch, to + k, layout, rows, columns, kLanes, now);
    move(kLanes);
  }
  if (k < channels) {
    transform_back<false>(from + k, place_pitch, to + k, layout, rows, columns, channels - k, now);
  }
}

}  // namespace convkit::detail::winograd
