#pragma once

#include "watch/operator_names.h"

#include <ATen/core/ivalue.h>
#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <vector>

/// Counts multiply-accumulates: half of what FlopCounterMode counts.
namespace convkit::detail {

/// One call of an operator: its rule, and what the rule needs to know of its arguments.
struct MacCall {
  MacRule rule = MacRule::kNone;
  std::vector<std::vector<int64_t>> inputs;  ///< the sizes of all tensors
  bool transposed = false;                   ///< a convolution is
};

/// Describes the call of the operator of this full name; `sizes` are those of its tensors.
MacCall mac_call_of(std::string_view name, c10::ArrayRef<const c10::IValue> inputs,
                    std::vector<std::vector<int64_t>> sizes);

/// Counts the multiply-accumulates of a call that gives a tensor of the sizes `output`; there are
/// none without a rule.
int64_t macs_of(const MacCall& call, c10::IntArrayRef output);

}  // namespace convkit::detail
