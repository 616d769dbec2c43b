#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

// What is a part of each function that calls it, and so compiled for that one's set of instructions.
#define CONVKIT_INLINE [[gnu::always_inline]] inline
#define CONVKIT_INLINE_LAMBDA __attribute__((always_inline))

/// Loops over registers of float32, written once as templates of the registers, and compiled for each set of
/// instructions. Registers are taken by reference: how they are passed depends on that set.
namespace convkit::detail::lanes {

/// Every processor's.
struct Small {
  static constexpr int64_t kLanes = 4;
  using Register [[gnu::vector_size(16)]] = float;
  using Integers [[gnu::vector_size(16)]] = int32_t;
  using Unaligned [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;
};

struct Avx2 {
  static constexpr int64_t kLanes = 8;
  using Register [[gnu::vector_size(32)]] = float;
  using Integers [[gnu::vector_size(32)]] = int32_t;
  using Unaligned [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
};

struct Avx512 {
  static constexpr int64_t kLanes = 16;
  using Register [[gnu::vector_size(64)]] = float;
  using Integers [[gnu::vector_size(64)]] = int32_t;
  using Unaligned [[gnu::vector_size(64), gnu::aligned(4), gnu::may_alias]] = float;
};

enum class Processor : int { kAny, kAvx2, kAvx512 };

/// What LibTorch takes this processor for, which the variable ATEN_CPU_CAPABILITY may lower.
Processor processor();

#ifdef __x86_64__
template <typename Work>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"),
  gnu::noinline]] void run_avx512(const Work& work) {
  work.template operator()<Avx512>();
}
template <typename Work>
[[gnu::target("avx2,fma"), gnu::noinline]] void run_avx2(const Work& work) {
  work.template operator()<Avx2>();
}
#endif

/// Calls `work.operator()<V>()`, compiled for this processor: V is Small, Avx2 or Avx512. Whatever it calls is
/// CONVKIT_INLINE.
template <typename Work>
void on_this_processor(const Work& work) {
#ifdef __x86_64__
  switch (processor()) {
    case Processor::kAvx512:
      return run_avx512(work);
    case Processor::kAvx2:
      return run_avx2(work);
    case Processor::kAny:
      break;
  }
#endif
  work.template operator()<Small>();
}

template <typename V>
CONVKIT_INLINE void load(const float* from, typename V::Register& lanes) {
  lanes = *reinterpret_cast<const typename V::Unaligned*>(from);
}

template <typename V>
CONVKIT_INLINE void store(const typename V::Register& lanes, float* to) {
  *reinterpret_cast<typename V::Unaligned*>(to) = lanes;
}

/// The first `count` lanes, and zeros in the others.
template <typename V>
CONVKIT_INLINE void load(const float* from, int64_t count, typename V::Register& lanes) {
  float all[V::kLanes] = {};
  std::memcpy(all, from, static_cast<std::size_t>(count) * sizeof(float));
  load<V>(all, lanes);
}

template <typename V>
CONVKIT_INLINE void store(const typename V::Register& lanes, int64_t count, float* to) {
  float all[V::kLanes];
  store<V>(lanes, all);
  std::memcpy(to, all, static_cast<std::size_t>(count) * sizeof(float));
}

/// An activation. NaN stays NaN.
struct LaneActivation {
  enum class Kind : int {
    kNone,
    kClip,       ///< min(max(y, a), b): ReLU and ReLU6 too
    kLeakyRelu,  ///< a y below 0
    kHardswish,  ///< y min(max(y + 3, 0), 6) / 6
    kSilu,       ///< y / (1 + exp(-y))
    kSigmoid,    ///< 1 / (1 + exp(-y))
    kTanh,
    kGeluTanh,  ///< y / (1 + exp(-2 sqrt(2 / pi) (y + 0.044715 y^3))), which LibTorch writes with a tanh
    kMish,  ///< y tanh(log(1 + exp(y)))
  };
  Kind kind = Kind::kNone;
  float a = 0;
  float b = std::numeric_limits<float>::infinity();
};

template <typename V>
CONVKIT_INLINE void clip(typename V::Register& y, float low, float high) {
  const typename V::Register least = typename V::Register{} + low;
  const typename V::Register most = typename V::Register{} + high;
  y = y < least ? least : y;
  y = y > most ? most : y;
}

/// exp(y) = power (1 + rest) for y in [-87, 89], to two units in the last place: power = 2^n, infinity from 88.4 on, and
/// rest = exp(r) - 1, where |r| <= ln 2 / 2.
template <typename V>
CONVKIT_INLINE void take_apart(const typename V::Register& y, typename V::Register& power,
                               typename V::Register& rest) {
  using Register = typename V::Register;
  using Integers = typename V::Integers;
  constexpr float kToWhole = 12582912.0F;  // 1.5 * 2^23: a sum with it is rounded to a whole number
  const Register whole = y * 1.44269504F + kToWhole;
  const Register n = whole - kToWhole;
  const Register r = y - n * 0.693145752F - n * 1.42860677e-6F;
  // (exp(r) - 1) / r, by the polynomial of degree 5 that meets it at Chebyshev's points: to 1e-8 of it.
  Register p = r * 0.00139337307F + 0.00836922029F;
  p = p * r + 0.0416664642F;
  p = p * r + 0.166665046F;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  rest = p * r;
  const Integers exponent = (reinterpret_cast<Integers>(whole) << 23) + (127 << 23);
  power = reinterpret_cast<Register>(exponent);
}

template <typename V>
CONVKIT_INLINE void exponential(typename V::Register& y) {
  clip<V>(y, -87, 89);
  typename V::Register power;
  typename V::Register rest;
  take_apart<V>(y, power, rest);
  y = (rest + 1) * power;
}

/// (e - 1) / (e + 1), where e = exp(2 y).
template <typename V>
CONVKIT_INLINE void hyperbolic_tangent(typename V::Register& y) {
  typename V::Register power;
  typename V::Register rest;
  y += y;
  clip<V>(y, -30, 30);  // from 18 on the result is 1
  take_apart<V>(y, power, rest);
  const typename V::Register less_1 = power * rest + (power - 1);
  y = less_1 / (less_1 + 2);
}

/// y (e^2 + 2 e) / (e^2 + 2 e + 2), where e = exp(y). It is 0 below -88, where e would be no normal number.
template <typename V>
CONVKIT_INLINE void mish(typename V::Register& y) {
  typename V::Register e = y;
  clip<V>(e, -87, 20);  // from 9 on the quotient is 1
  exponential<V>(e);
  const typename V::Register sum = e * (e + 2);
  const typename V::Register quotient = sum / (sum + 2);
  y *= y < -88 ? typename V::Register{} : quotient;
}

template <typename V>
CONVKIT_INLINE void activate(typename V::Register& y, const LaneActivation& activation) {
  using Kind = LaneActivation::Kind;
  if (activation.kind == Kind::kClip) {
    clip<V>(y, activation.a, activation.b);
  } else if (activation.kind == Kind::kLeakyRelu) {
    y = y < 0 ? y * activation.a : y;
  } else if (activation.kind == Kind::kHardswish) {
    typename V::Register part = y + 3;
    clip<V>(part, 0, 6);
    y = y * part * (1.0F / 6);
  } else if (activation.kind == Kind::kSilu) {
    typename V::Register power = -y;
    exponential<V>(power);
    y /= 1 + power;
  } else if (activation.kind == Kind::kSigmoid) {
    typename V::Register power = -y;
    exponential<V>(power);
    y = 1 / (1 + power);
  } else if (activation.kind == Kind::kTanh) {
    hyperbolic_tangent<V>(y);
  } else if (activation.kind == Kind::kGeluTanh) {
    typename V::Register power = y * (y * y * -0.0713548163F - 1.59576912F);
    exponential<V>(power);
    y /= 1 + power;
  } else if (activation.kind == Kind::kMish) {
    mish<V>(y);
  }
}

}  // namespace convkit::detail::lanes
