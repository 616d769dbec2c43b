#include "compile/engines/activations.h"

#include "compile/engines/threads.h"

#include <algorithm>

namespace convkit::detail {

namespace {

using Kind = lanes::LaneActivation::Kind;

/// The kind is a constant of the loop, so that what it needs stays in registers.
template <typename V, Kind kKind>
CONVKIT_INLINE void activate_all(float a, float b, int64_t count, const float* from, float* to) {
  const lanes::LaneActivation activation{kKind, a, b};
  typename V::Register y;
  int64_t i = 0;
  for (; i + V::kLanes <= count; i += V::kLanes) {
    lanes::load<V>(from + i, y);
    lanes::activate<V>(y, activation);
    lanes::store<V>(y, to + i);
  }
  if (i == count) return;
  lanes::load<V>(from + i, count - i, y);
  lanes::activate<V>(y, activation);
  lanes::store<V>(y, count - i, to + i);
}

template <Kind kKind>
void activate_as(const lanes::LaneActivation& activation, int64_t count, const float* from,
                 float* to) {
  lanes::on_this_processor([&]<typename V>() CONVKIT_INLINE_LAMBDA {
    activate_all<V, kKind>(activation.a, activation.b, count, from, to);
  });
}

void activate_on_one_thread(const lanes::LaneActivation& activation, int64_t count,
                            const float* from, float* to) {
  switch (activation.kind) {
    case Kind::kNone:
      return activate_as<Kind::kNone>(activation, count, from, to);
    case Kind::kClip:
      return activate_as<Kind::kClip>(activation, count, from, to);
    case Kind::kLeakyRelu:
      return activate_as<Kind::kLeakyRelu>(activation, count, from, to);
    case Kind::kHardswish:
      return activate_as<Kind::kHardswish>(activation, count, from, to);
    case Kind::kSilu:
      return activate_as<Kind::kSilu>(activation, count, from, to);
    case Kind::kSigmoid:
      return activate_as<Kind::kSigmoid>(activation, count, from, to);
    case Kind::kTanh:
      return activate_as<Kind::kTanh>(activation, count, from, to);
    case Kind::kGeluTanh:
      return activate_as<Kind::kGeluTanh>(activation, count, from, to);
    case Kind::kMish:
      return activate_as<Kind::kMish>(activation, count, from, to);
  }
}

}  // namespace

void activate(const lanes::LaneActivation& activation, int threads, int64_t count,
              const float* from, float* to) {
  constexpr int64_t kPiece = 16;  // a cache line
  const int64_t pieces = (count + kPiece - 1) / kPiece;
  on_threads(threads, [&](int thread, int all) {
    const int64_t begin = pieces * thread / all * kPiece;
    const int64_t end = std::min(count, pieces * (thread + 1) / all * kPiece);
    activate_on_one_thread(activation, end - begin, from + begin, to + begin);
  });
}

bool activates_better(const lanes::LaneActivation& activation, int64_t count) {
  constexpr int64_t kLeast = 4096;      // that are worth a loop on all threads
  constexpr int64_t kCached = 1 << 21;  // that are still in a cache after the kernel
  // oneDNN's loses what is far below 0: half of it at -17.
  if (activation.kind == Kind::kMish) return true;
  if (lanes::processor() != lanes::Processor::kAvx2 || count < kLeast) return false;
  switch (activation.kind) {
    case Kind::kSilu:
    case Kind::kSigmoid:
      return count <= kCached;
    case Kind::kTanh:
    case Kind::kGeluTanh:
      return true;  // oneDNN takes seven times as long
    default:
      return false;
  }
}

}  // namespace convkit::detail
