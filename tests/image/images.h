#pragma once

#include <convkit/checkpoint.h>
#include <convkit/state_dict.h>

#include "parity/reference.h"

#include <torch/types.h>

#include <catch2/catch_test_macros.hpp>

#include <map>
#include <string>
#include <utility>
#include <vector>

/// The cases of tests/parity/images.py and colours.py.
namespace images {

using torch::Tensor;

/// What a script of tests/parity/ wrote.
inline const convkit::StateDict& file(const std::string& script) {
  static std::map<std::string, convkit::StateDict> read;
  if (!read.contains(script)) {
    read.emplace(script,
                 convkit::load_checkpoint(parity::folder() / (script + ".safetensors")).state);
  }
  return read.at(script);
}

/// The tensors of a case, by their names.
struct Given {
  const convkit::StateDict* file;
  std::string name;  // "crop.12."

  Tensor operator()(const std::string& what) const { return (*file)[name + what]; }
  [[nodiscard]] bool has(const std::string& what) const { return file->contains(name + what); }

  template <typename Number>
  Number item(const std::string& what) const {
    return (*this)(what).template item<Number>();
  }
};

class Cases {
 public:
  explicit Cases(std::string name, const std::string& script = "images")
      : file_(&file(script)), name_(std::move(name)) {}

  /// Calls `check` with each case.
  template <typename Check>
  void each(int64_t at_least, const Check& check) {
    int64_t count = 0;
    for (const auto& entry : *file_) {
      const std::string& key = entry.key();
      if (!key.starts_with(name_ + ".") || !key.ends_with(".image")) continue;
      const std::string of = key.substr(0, key.size() - 5);
      INFO(of);
      check(Given{file_, of});
      ++count;
    }
    CHECK(count >= at_least);
  }

 private:
  const convkit::StateDict* file_;
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
