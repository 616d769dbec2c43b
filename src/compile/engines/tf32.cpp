#include "compile/engines/tf32.h"

#include <ATen/Context.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

namespace convkit::detail {

namespace {

using at::Float32Backend;
using at::Float32Op;
using Precision = at::Float32Precision;

/// What LibTorch says of float32: for each operator, and by two older names for some of them. It throws where
/// somebody asks by an older name while both do not agree, as its own kernels may do.
class Float32Settings {
 public:
  /// What they are now; it may leave others.
  static Float32Settings read() {
    Float32Settings result;
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      result.by_operator_[i] =
          at::globalContext().float32Precision(kNames[i].first, kNames[i].second);
    }
    result.cudnn_ = agreed(false, [] { return at::globalContext().allowTF32CuDNN(); });
    result.products_ = agreed(at::Float32MatmulPrecision::HIGHEST,
                              [] { return at::globalContext().float32MatmulPrecision(); });
    return result;
  }

  void write() const {
    at::globalContext().setAllowTF32CuDNN(cudnn_);
    at::globalContext().setFloat32MatmulPrecision(
        products_ == at::Float32MatmulPrecision::HIGHEST ? "highest"
        : products_ == at::Float32MatmulPrecision::HIGH  ? "high"
                                                         : "medium");
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      at::globalContext().setFloat32Precision(kNames[i].first, kNames[i].second, by_operator_[i]);
    }
  }

  /// Those that let CUDA round to TF32, or not, and else stay as they are.
  [[nodiscard]] Float32Settings with_tf32(bool on) const {
    Float32Settings result = *this;
    result.cudnn_ = on;
    result.products_ = on ? at::Float32MatmulPrecision::HIGH : at::Float32MatmulPrecision::HIGHEST;
    for (std::size_t i = 0; i < kCuda; ++i) {
      result.by_operator_[i] = on ? Precision::TF32 : Precision::IEEE;
    }
    return result;
  }

 private:
  /// What `ask` gives by an older name. Where that does not agree with the operators' settings, these are
  /// changed, until only `otherwise` would not agree.
  template <typename Answer, typename Ask>
  static Answer agreed(Answer otherwise, const Ask& ask) {
    try {
      return ask();
    } catch (const c10::Error&) {
      for (std::size_t i = 0; i < kCuda; ++i) {
        at::globalContext().setFloat32Precision(kNames[i].first, kNames[i].second, Precision::TF32);
      }
    }
    try {
      return ask();
    } catch (const c10::Error&) {
      return otherwise;
    }
  }

  static constexpr std::size_t kCuda = 3;  ///< the first so many are CUDA's
  static constexpr std::array<std::pair<Float32Backend, Float32Op>, 4> kNames{
      {{Float32Backend::CUDA, Float32Op::CONV},
       {Float32Backend::CUDA, Float32Op::RNN},
       {Float32Backend::CUDA, Float32Op::MATMUL},
       {Float32Backend::MKLDNN, Float32Op::MATMUL}}};  // which "high" and "medium" change too

  std::array<Precision, kNames.size()> by_operator_{};
  bool cudnn_ = false;
  at::Float32MatmulPrecision products_ = at::Float32MatmulPrecision::HIGHEST;
};

/// What the scopes of the process share.
struct Tf32Setting {
  std::mutex mutex;
  std::condition_variable ended;
  int64_t scopes = 0;
  bool on = false;  ///< the value of these scopes
  std::optional<Float32Settings> before;
};

Tf32Setting& setting() {
  static Tf32Setting setting;
  return setting;
}

/// How many scopes this thread is within.
int64_t& depth() {
  static thread_local int64_t depth = 0;
  return depth;
}

}  // namespace

Tf32Scope::Tf32Scope(std::optional<bool> on) : counts_(on.has_value()) {
  if (!counts_ || depth()++ > 0) return;
  Tf32Setting& shared = setting();
  std::unique_lock lock(shared.mutex);
  shared.ended.wait(lock, [&] { return shared.scopes == 0 || shared.on == *on; });
  if (shared.scopes++ > 0) return;
  shared.on = *on;
  shared.before = Float32Settings::read();
  shared.before->with_tf32(*on).write();
}

Tf32Scope::~Tf32Scope() {
  if (!counts_ || --depth() > 0) return;
  Tf32Setting& shared = setting();
  {
    const std::lock_guard lock(shared.mutex);
    if (--shared.scopes > 0) return;
    shared.before->write();
  }
  shared.ended.notify_all();
}

}  // namespace convkit::detail
