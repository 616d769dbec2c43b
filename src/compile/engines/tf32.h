#pragma once

#include <optional>

namespace convkit::detail {

/// Lets CUDA round float32 to TF32, or not, while it lives. LibTorch has one setting for all threads: the
/// first scope of the process notes what it was, and the last one puts it back. A scope of the other
/// value waits until all of this one have ended.
///
/// Within a scope on the same thread another one changes nothing: the outer one's value holds.
class Tf32Scope {
 public:
  /// Does nothing without a value.
  explicit Tf32Scope(std::optional<bool> on);
  ~Tf32Scope();
  Tf32Scope(const Tf32Scope&) = delete;
  Tf32Scope& operator=(const Tf32Scope&) = delete;

 private:
  bool counts_;
};

}  // namespace convkit::detail
