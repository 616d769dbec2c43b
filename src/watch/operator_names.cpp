#include "watch/operator_names.h"

#include <set>

namespace convkit::detail {

std::string plain_name(std::string_view name) {
  if (const auto colons = name.find("::"); colons != std::string_view::npos) {
    name.remove_prefix(colons + 2);
  }
  if (name.size() > 1 && name.ends_with('_') && !name.ends_with("__")) name.remove_suffix(1);
  return std::string(name);
}

bool is_activation(std::string_view plain) {
  static const std::set<std::string_view> names = {
      "relu", "relu6", "hardtanh",    "clamp",      "silu", "sigmoid",   "tanh",     "hardswish",
      "gelu", "elu",   "hardsigmoid", "leaky_relu", "mish", "clamp_min", "clamp_max"};
  return names.contains(plain);
}

bool tells_shape_alone(std::string_view plain) {
  static const std::set<std::string_view> names = {
      "is_floating_point",
      "is_signed",
      "is_same_size",
      "result_type",
      "can_cast",
      "numel",
      "dim",
      "stride",
      "size",
      "is_set_to",
      "is_pinned",
      "storage_offset",
      "sym_size",
      "sym_numel",
      "sym_stride",
      "cudnn_is_acceptable",
  };
  return names.contains(plain);
}

}  // namespace convkit::detail
