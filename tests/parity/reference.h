#pragma once

#include <convkit/checkpoint.h>

#include "support.h"

#include <torch/expanding_array.h>
#include <torch/nn/functional/padding.h>
#include <torch/nn/options/conv.h>
#include <torch/version.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

/// What tests/parity/generate.py wrote, and how it is compared with.
namespace parity {

using Tensors = std::vector<torch::Tensor>;

/// A dict of the file: the options and results of one module, or of one call of a function.
class Case {
 public:
  Case(nlohmann::json dict, std::shared_ptr<const convkit::StateDict> tensors)
      : dict_(std::move(dict)), tensors_(std::move(tensors)) {}

  bool has(const char* key) const { return dict_.contains(key); }
  std::string text(const char* key) const { return dict_.at(key); }
  int64_t number(const char* key) const { return dict_.at(key); }
  bool flag(const char* key) const { return dict_.at(key); }
  torch::Tensor tensor(const char* key) const { return aligned(text(key)); }
  Tensors tensors(const char* key) const {
    Tensors result;
    for (const std::string& name : texts(key)) result.push_back(aligned(name));
    return result;
  }
  std::vector<std::string> texts(const char* key) const { return dict_.at(key); }

  bool has_option(const char* name) const { return options().contains(name); }
  std::string word(const char* option) const { return options().at(option); }
  bool boolean(const char* option) const { return options().at(option); }
  int64_t option(const char* name) const { return options().at(name); }
  double real(const char* name) const { return options().at(name); }
  /// Nothing where it is a word, such as "all".
  std::optional<int64_t> optional(const char* option) const {
    const nlohmann::json& value = options().at(option);
    return value.is_string() ? std::nullopt : std::optional(value.get<int64_t>());
  }
  std::vector<int64_t> integers(const char* option) const { return options().at(option); }
  /// One number, or a list of them.
  template <typename T>
  std::vector<T> numbers(const char* option) const {
    const nlohmann::json& value = options().at(option);
    return value.is_array() ? value.get<std::vector<T>>() : std::vector<T>{value.get<T>()};
  }
  /// One number, or one for each dimension.
  template <std::size_t D>
  torch::ExpandingArray<D> sizes(const char* name) const {
    const nlohmann::json& value = options().at(name);
    torch::ExpandingArray<D> result = 0;
    for (std::size_t i = 0; i < D; ++i) {
      result->at(i) = (value.is_array() ? value.at(i) : value).get<int64_t>();
    }
    return result;
  }
  torch::ExpandingArray<2> pair(const char* name) const { return sizes<2>(name); }
  torch::ExpandingArray<2, double> real_pair(const char* name) const {
    const nlohmann::json& value = options().at(name);
    return {value.at(0).get<double>(), value.at(1).get<double>()};
  }
  /// Python's padding: numbers, "same" or "valid".
  template <std::size_t D = 2>
  typename torch::nn::ConvOptions<D>::padding_t padding() const {
    if (!options().at("padding").is_string()) return sizes<D>("padding");
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
  /// A copy, at a multiple of 64 bytes as Python's was when the kernels read it: from other
  /// addresses matrix products sum in another order.
  torch::Tensor aligned(const std::string& name) const { return (*tensors_)[name].clone(); }
  const nlohmann::json& options() const { return dict_.at("options"); }

  nlohmann::json dict_;
  std::shared_ptr<const convkit::StateDict> tensors_;
};

/// The folder of Python's files. Skips the test where there is none.
inline std::filesystem::path folder() {
  const char* path = std::getenv("CONVKIT_PARITY");
  if (path == nullptr) SKIP("no reference values: no Python has the LibTorch in use");
  return path;
}

/// The entries under `key`.
inline std::vector<Case> read(const char* key) {
  convkit::Checkpoint file = convkit::load_checkpoint(folder() / "reference.safetensors");
  const auto reference = nlohmann::json::parse(file.metadata.at("reference"));
  const std::string version = reference.at("torch");
  INFO("Python's torch " << version << ", LibTorch " << TORCH_VERSION);
  REQUIRE(version.starts_with(TORCH_VERSION));
  const auto tensors = std::make_shared<const convkit::StateDict>(std::move(file.state));
  std::vector<Case> cases;
  for (const nlohmann::json& dict : reference.at(key)) cases.emplace_back(dict, tensors);
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
