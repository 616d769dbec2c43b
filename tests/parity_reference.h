#pragma once

#include "support.h"

#include <torch/expanding_array.h>
#include <torch/nn/functional/padding.h>
#include <torch/nn/options/conv.h>
#include <torch/serialize.h>
#include <torch/version.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

/// What tests/parity/generate.py wrote, and how it is compared with.
namespace parity {

using Tensors = std::vector<torch::Tensor>;

/// A dict of the file: the options and results of one module, or of one call of a function.
class Case {
 public:
  explicit Case(const c10::IValue& dict) : dict_(dict.toGenericDict()) {}

  bool has(const char* key) const { return dict_.contains(key); }
  std::string text(const char* key) const { return dict_.at(key).toStringRef(); }
  int64_t number(const char* key) const { return dict_.at(key).toInt(); }
  bool flag(const char* key) const { return dict_.at(key).toBool(); }
  torch::Tensor tensor(const char* key) const { return dict_.at(key).toTensor(); }
  Tensors tensors(const char* key) const {
    Tensors result;
    for (const c10::IValue& value : dict_.at(key).toListRef()) result.push_back(value.toTensor());
    return result;
  }
  std::vector<std::string> texts(const char* key) const {
    std::vector<std::string> result;
    for (const c10::IValue& value : dict_.at(key).toListRef()) {
      result.push_back(value.toStringRef());
    }
    return result;
  }

  bool has_option(const char* name) const { return options().contains(name); }
  std::string word(const char* option) const { return options().at(option).toStringRef(); }
  int64_t option(const char* name) const { return first(name).toInt(); }
  double real(const char* name) const { return first(name).toDouble(); }
  torch::ExpandingArray<2> pair(const char* name) const {
    const auto values = options().at(name).toListRef();
    return {values.front().toInt(), values.back().toInt()};
  }
  torch::ExpandingArray<2, double> real_pair(const char* name) const {
    const auto values = options().at(name).toListRef();
    return {values.front().toDouble(), values.back().toDouble()};
  }
  /// Python's padding: numbers, "same" or "valid".
  torch::nn::Conv2dOptions::padding_t padding() const {
    if (!options().at("padding").isString()) return pair("padding");
    if (word("padding") == "same") return torch::kSame;
    return torch::kValid;
  }
  /// Python's name of a mode of torch.nn.functional.pad.
  torch::nn::functional::PadFuncOptions::mode_t pad_mode(const char* option) const {
    if (word(option) == "reflect") return torch::kReflect;
    if (word(option) == "replicate") return torch::kReplicate;
    if (word(option) == "circular") return torch::kCircular;
    REQUIRE(word(option) == "constant");
    return torch::kConstant;
  }

 private:
  c10::impl::GenericDict options() const { return dict_.at("options").toGenericDict(); }
  c10::IValue first(const char* name) const { return options().at(name).toListRef().front(); }

  c10::impl::GenericDict dict_;
};

/// The entries under `key`. Skips the test where there is no file.
inline std::vector<Case> read(const char* key) {
  const char* path = std::getenv("CONVKIT_PARITY_REFERENCE");
  std::ifstream file(path == nullptr ? "" : path, std::ios::binary);
  if (!file) SKIP("no reference values: no Python has the LibTorch in use");
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto reference = torch::pickle_load(bytes).toGenericDict();
  const std::string version = reference.at("torch").toStringRef();
  INFO("Python's torch " << version << ", LibTorch " << TORCH_VERSION);
  REQUIRE(version.starts_with(TORCH_VERSION));
  std::vector<Case> cases;
  for (const c10::IValue& value : reference.at(key).toListRef()) cases.emplace_back(value);
  return cases;
}

inline void check_equal(const std::string& what, const torch::Tensor& ours,
                        const torch::Tensor& python) {
  INFO(what << " " << python.sizes());
  if (ours.scalar_type() != python.scalar_type() || ours.sizes() != python.sizes()) {
    FAIL_CHECK("Python's is " << python.toString() << " " << python.sizes() << ", ours "
                              << ours.toString() << " " << ours.sizes());
    return;
  }
  if (torch::equal(ours, python)) {
    SUCCEED();
    return;
  }
  const torch::Tensor difference = (ours.to(torch::kDouble) - python.to(torch::kDouble)).abs();
  FAIL_CHECK("differs from Python's by up to " << difference.max().item<double>() << " in "
                                               << difference.count_nonzero().item<int64_t>()
                                               << " of " << difference.numel() << " elements");
}

/// What a module computes proves nothing when it is constant.
inline void check_alive(const std::string& what, const torch::Tensor& python) {
  INFO(what << " " << python.sizes());
  CHECK((python.numel() == 1 || python.min().item<double>() < python.max().item<double>()));
}

}  // namespace parity
