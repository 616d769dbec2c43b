#pragma once

#include <convkit/arithmetic.h>

#include <ATen/core/ivalue.h>
#include <c10/util/ArrayRef.h>
#include <torch/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace convkit::detail {

/// Follows, operator by operator, which pixels of the input the elements of a map depend on.
class ReceptiveFields {
 public:
  using Field = std::optional<std::array<ReceptiveField, 2>>;  ///< along the height and the width

  /// Starts with the input of the network.
  void begin(const torch::Tensor& input);

  /// An operator that runs: its arguments, and what they depend on before it runs.
  struct Operation {
    std::vector<c10::IValue> inputs;
    bool depends = false;     ///< on the network's input
    bool same_place = false;  ///< all that depend on it are maps of one size
    Field seen;               ///< by all of them together
    std::vector<int64_t> sizes;
    int64_t serial = 0;
  };
  /// Looks at the arguments, before the operator runs.
  [[nodiscard]] Operation start(c10::ArrayRef<const c10::IValue> inputs) const;
  /// Works out what the outputs of the operator of this full name depend on.
  void finish(const std::string& name, const Operation& operation,
              const std::vector<torch::Tensor>& outputs);

  /// Gives the field of a map; nothing if its elements do not look through windows at equal
  /// distances.
  [[nodiscard]] Field of(const torch::Tensor& tensor) const;

 private:
  struct Entry {
    // The weak pointer keeps the address from being used again, but does not keep the numbers.
    c10::weak_intrusive_ptr<c10::TensorImpl> tensor;
    Field field;
    int64_t serial = 0;
  };

  const Entry* find(const torch::Tensor& tensor) const;
  void set(const torch::Tensor& tensor, Field field);

  std::map<const void*, Entry> entries_;
  int64_t serial_ = 0;
};

}  // namespace convkit::detail
