#include "summary/macs.h"

#include <utility>

namespace convkit::detail {

namespace {

int64_t product(c10::IntArrayRef sizes) {
  int64_t result = 1;
  for (const int64_t size : sizes) result *= size;
  return result;
}

}  // namespace

MacCall mac_call_of(std::string_view name, c10::ArrayRef<const c10::IValue> inputs,
                    std::vector<std::vector<int64_t>> sizes) {
  MacCall call{.rule = mac_rule_of(name), .inputs = std::move(sizes)};
  call.transposed = call.rule == MacRule::kConvolution && inputs.size() > 6 && inputs[6].isBool() &&
                    inputs[6].toBool();
  return call;
}

int64_t macs_of(const MacCall& call, c10::IntArrayRef output) {
  const auto& inputs = call.inputs;
  switch (call.rule) {
    case MacRule::kConvolution: {
      if (inputs.size() < 2) break;
      const c10::IntArrayRef x = inputs[0];
      const c10::IntArrayRef weight = inputs[1];
      const auto places = (call.transposed ? x : output).slice(output.size() - weight.size() + 2);
      const int64_t images = output.size() == weight.size() ? output[0] : 1;
      return product(places) * images * product(weight);
    }
    case MacRule::kProduct:
      if (inputs.size() == 2) return product(output) * inputs[0].back();
      break;
    case MacRule::kAddedProduct:
      if (inputs.size() == 3) return product(output) * inputs[1].back();
      break;
    case MacRule::kAttention: {
      if (inputs.size() < 3) break;
      const auto& q = inputs[0];
      const auto& k = inputs[1];
      const auto& v = inputs[2];
      return q[0] * q[1] * q[2] * k[2] * (q[3] + v[3]);
    }
    case MacRule::kNone:
      break;
  }
  return 0;
}

}  // namespace convkit::detail
