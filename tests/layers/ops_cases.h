#pragma once

#include <convkit/checkpoint.h>
#include <convkit/ops.h>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

/// The cases of tests/parity/detection.py, whose tensors both sides make of the same numbers.
namespace ops_cases {

using torch::Tensor;

/// The tensors of one case.
class Given {
 public:
  Given(int64_t seed, bool single)
      : seed_(static_cast<uint64_t>(seed)), dtype_(single ? torch::kFloat : torch::kDouble) {}

  torch::Dtype dtype() const { return dtype_; }

  /// 24 bits of each step of a linear congruential generator, from 0 to below 1.
  Tensor numbers(uint64_t stream, int64_t count) const {
    auto state = static_cast<uint32_t>(seed_ * 2654435761U + stream * 2246822519U + 12345U);
    Tensor result = torch::empty({count}, torch::kDouble);
    auto* const values = result.data_ptr<double>();
    for (int64_t i = 0; i < count; ++i) {
      state = state * 1664525U + 1013904223U;
      values[i] = (state >> 8U) / 16777216.0;
    }
    return result;
  }

  /// Numbers from -2 to 2.
  Tensor tensor(uint64_t stream, const std::vector<int64_t>& sizes) const {
    return (numbers(stream, c10::multiply_integers(sizes)) * 4 - 2).view(sizes).to(dtype_);
  }

  Tensor boxes(int64_t count, int64_t height, int64_t width, double scale, int64_t spread,
               bool whole, int64_t images) const {
    constexpr std::array<double, 4> kSpreads{0.5, 1.0, 3.0, 0.2};
    const Tensor u = numbers(2, count * 5).view({count, 5});
    const Tensor size =
        torch::tensor({static_cast<double>(width), static_cast<double>(height)}, torch::kDouble);
    Tensor first = (u.narrow(1, 1, 2) * 1.5 - 0.25) * size;
    const Tensor extent = (u.narrow(1, 3, 2) - (spread == 3 ? 0.5 : 0.0)) * size *
                          kSpreads.at(static_cast<std::size_t>(spread));
    Tensor last = first + extent;
    if (whole) {
      first = first.floor();
      last = last.floor();
    }
    Tensor result = torch::cat({first / scale, last / scale}, 1);
    if (images > 0) result = torch::cat({(u.narrow(1, 0, 1) * images).floor(), result}, 1);
    return result.to(dtype_);
  }

 private:
  uint64_t seed_;
  torch::Dtype dtype_;
};

inline int64_t hash_of(const Tensor& numbers) {
  const Tensor whole = numbers.to(torch::kLong).contiguous();
  uint64_t result = 0xCBF29CE484222325U;
  for (int64_t i = 0; i < whole.numel(); ++i) {
    const auto value = static_cast<uint32_t>(whole.data_ptr<int64_t>()[i]);
    result = (result ^ value) * 0x100000001B3U;
  }
  return static_cast<int64_t>(result);
}

/// What the file has of one operator, and how far it has been compared.
class Operator {
 public:
  Operator(const convkit::StateDict& file, std::string name, int64_t first_seed)
      : file_(file),
        name_(std::move(name)),
        first_seed_(first_seed),
        rows_(file[name_ + ".cases"]) {
    if (file.contains(name_ + ".sums")) sums_ = file[name_ + ".sums"];
    if (file.contains(name_ + ".hashes")) hashes_ = file[name_ + ".hashes"];
  }

  int64_t size() const { return rows_.size(0); }
  std::vector<int64_t> row(int64_t i) const {
    const Tensor row = rows_[i].to(torch::kLong);
    return {row.data_ptr<int64_t>(), row.data_ptr<int64_t>() + row.numel()};
  }
  Given given(int64_t i) const { return {first_seed_ + i, row(i)[0] == 1}; }

  /// Compares the results of case i, gradients too, by two sums with numbers of their own.
  ///
  /// Both sides compute the same sums of products in another order: of some hundred terms each, which
  /// are rounded once each. That is a few units in the last place of the sum of their magnitudes, and
  /// 64 leaves room for those that cancel before the second sum is made.
  void compare(int64_t i, const std::vector<std::pair<std::string, Tensor>>& results) {
    const Given own = given(i);
    const double unit = own.dtype() == torch::kFloat ? std::numeric_limits<float>::epsilon()
                                                     : std::numeric_limits<double>::epsilon();
    for (std::size_t j = 0; j < results.size(); ++j) {
      const auto& [what, tensor] = results[j];
      const Tensor values = tensor.detach().to(torch::kDouble).nan_to_num(7).flatten();
      const Tensor weights =
          own.numbers(100 + j, 2 * values.numel()).view({2, values.numel()}) * 2 - 1;
      const Tensor products = weights * values;
      const Tensor ours = products.sum(1);
      const Tensor bound = products.abs().sum(1) * unit * 64;
      const Tensor wrong = (ours - sums_.narrow(0, next_sum_, 2)).abs() - bound;
      next_sum_ += 2;
      worst = std::max(worst, (((wrong + bound) / bound).nan_to_num(0)).max().item<double>());
      alive += values.numel() > 1 && values.min().item<double>() < values.max().item<double>();
      if (wrong.max().item<double>() > 0) {
        FAIL_CHECK(name_ << " " << i << " " << torch::IntArrayRef(row(i)) << ": " << what
                         << " is wrong by " << wrong + bound << ", bound " << bound);
      }
      const std::string key = name_ + "." + std::to_string(i) + "." + what;
      if (!file_.contains(key)) continue;
      ++in_full;
      const Tensor whole = file_[key].to(torch::kDouble).nan_to_num(7).flatten();
      REQUIRE(whole.sizes() == values.sizes());
      const double scale =
          std::max(1.0, values.numel() == 0 ? 0 : values.abs().max().item<double>());
      CHECK((values.numel() == 0 ||
             (values - whole).abs().max().item<double>() <= 64 * unit * scale));
    }
  }

  void compare_whole(int64_t i, const Tensor& numbers) {
    INFO(name_ << " " << i << " " << torch::IntArrayRef(row(i)));
    CHECK(hash_of(numbers) == hashes_[next_hash_++].item<int64_t>());
  }

  /// That every case was compared, and that the results were more than zeros.
  void finish(int64_t cases) const {
    CHECK(size() == cases);
    CHECK((!sums_.defined() || next_sum_ == sums_.numel()));
    CHECK((!hashes_.defined() || next_hash_ == hashes_.numel()));
  }

  int64_t alive = 0;    ///< results that are not constant
  int64_t in_full = 0;  ///< results that were compared element by element
  double worst = 0;     ///< the largest part of a bound that was needed

 private:
  const convkit::StateDict& file_;
  std::string name_;
  int64_t first_seed_;
  Tensor rows_;
  Tensor sums_;
  Tensor hashes_;
  int64_t next_sum_ = 0;
  int64_t next_hash_ = 0;
};

inline convkit::StateDict read() {
  const auto folder = std::filesystem::path(__FILE__).parent_path().parent_path();
  return convkit::load_checkpoint(folder / "parity/detection.safetensors").state;
}

}  // namespace ops_cases
