#pragma once

#include <convkit/checkpoint.h>
#include <convkit/state_dict.h>

#include "parity/reference.h"

#include <torch/types.h>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <utility>
#include <vector>

/// The cases of tests/parity/images.py.
namespace images {

using torch::Tensor;

/// What tests/parity/images.py wrote.
inline const convkit::StateDict& file() {
  static const convkit::StateDict read =
      convkit::load_checkpoint(parity::folder() / "images.safetensors").state;
  return read;
}

/// The tensors of a case, by their names.
struct Given {
  std::string name;  // "crop.12."

  Tensor operator()(const std::string& what) const { return file()[name + what]; }
  [[nodiscard]] bool has(const std::string& what) const { return file().contains(name + what); }
};

class Cases {
 public:
  explicit Cases(std::string name) : name_(std::move(name)) {}

  /// Calls `check` with each case.
  template <typename Check>
  void each(int64_t at_least, const Check& check) {
    int64_t count = 0;
    for (const auto& entry : file()) {
      const std::string& key = entry.key();
      if (!key.starts_with(name_ + ".") || !key.ends_with(".image")) continue;
      const std::string of = key.substr(0, key.size() - 5);
      INFO(of);
      check(Given{of});
      ++count;
    }
    CHECK(count >= at_least);
  }

 private:
  std::string name_;
};

template <typename Number>
inline std::vector<Number> list(const Tensor& tensor) {
  return {tensor.const_data_ptr<Number>(), tensor.const_data_ptr<Number>() + tensor.numel()};
}

/// How many bytes of the result are other ones, or all of them where its sizes or type are.
inline int64_t differing(const Tensor& result, const Tensor& expected) {
  if (result.sizes() != expected.sizes() || result.scalar_type() != expected.scalar_type()) {
    return expected.numel();
  }
  return result.ne(expected).sum().item<int64_t>();
}

}  // namespace images
