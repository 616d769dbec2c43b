#include "watch/operator_names.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <unordered_map>
#include <utility>

namespace convkit::detail {

namespace {

using Names = std::array<std::string_view, 3>;

/// One operator.
struct OperatorRow {
  std::string_view name;  ///< the plain one
  bool activation = false;
  bool shape_alone = false;
  Reach reach = Reach::kUnknown;
  MacRule macs = MacRule::kNone;
  Names modules{};        ///< without weights, that call it
  Names weighted{};       ///< with weights, that give these to it
  bool in_place = false;  ///< those with weights call the one in place
  bool ours = false;      ///< it is of the namespace convkit, and not of aten
};

constexpr Reach kSame = Reach::kSamePlace;

// clang-format off: a row is a line
constexpr OperatorRow kOperators[] = {
    // activations
    {.name = "relu", .activation = true, .reach = kSame, .modules = {"ReLU"}},
    {.name = "relu6", .activation = true, .reach = kSame, .modules = {"ReLU6"}},
    {.name = "hardtanh", .activation = true, .reach = kSame, .modules = {"ReLU6", "Hardtanh"}},
    {.name = "clamp", .activation = true, .reach = kSame},
    {.name = "clamp_min", .activation = true},
    {.name = "clamp_max", .activation = true},
    {.name = "leaky_relu", .activation = true, .reach = kSame, .modules = {"LeakyReLU"}},
    {.name = "elu", .activation = true, .reach = kSame, .modules = {"ELU", "SELU"}},
    {.name = "silu", .activation = true, .reach = kSame, .modules = {"SiLU"}},
    {.name = "gelu", .activation = true, .reach = kSame, .modules = {"GELU"}},
    {.name = "mish", .activation = true, .reach = kSame, .modules = {"Mish"}},
    {.name = "sigmoid", .activation = true, .reach = kSame, .modules = {"Sigmoid"}},
    {.name = "tanh", .activation = true, .reach = kSame, .modules = {"Tanh"}},
    {.name = "hardswish", .activation = true, .reach = kSame},
    {.name = "hardsigmoid", .activation = true, .reach = kSame},
    // other operators on each element
    {.name = "selu", .reach = kSame, .modules = {"SELU"}},
    {.name = "celu", .reach = kSame, .modules = {"CELU"}},
    {.name = "softplus", .reach = kSame, .modules = {"Softplus"}},
    {.name = "threshold", .reach = kSame},
    {.name = "prelu", .reach = kSame, .weighted = {"PReLU"}},
    {.name = "dropout", .reach = kSame, .modules = {"Dropout"}},
    {.name = "feature_dropout", .reach = kSame, .modules = {"Dropout2d"}},
    {.name = "add", .reach = kSame, .weighted = {"Linear"}, .in_place = true},
    {.name = "sub", .reach = kSame},
    {.name = "mul", .reach = kSame},
    {.name = "div", .reach = kSame},
    {.name = "cat", .reach = kSame},
    {.name = "clone", .reach = kSame},
    {.name = "contiguous", .reach = kSame},
    {.name = "detach", .reach = kSame},
    {.name = "to", .reach = kSame},
    // norms
    {.name = "batch_norm", .reach = kSame, .modules = {"BatchNorm2d"},
     .weighted = {"BatchNorm1d", "BatchNorm2d", "BatchNorm3d"}},
    {.name = "instance_norm", .modules = {"InstanceNorm2d"},
     .weighted = {"InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"}},
    {.name = "group_norm", .weighted = {"GroupNorm"}},
    {.name = "layer_norm", .weighted = {"LayerNorm"}},
    {.name = "softmax", .modules = {"Softmax", "Softmax2d"}},
    {.name = "log_softmax", .modules = {"LogSoftmax"}},
    // convolutions, and the operator that all of them call
    {.name = "conv1d", .weighted = {"Conv1d"}},
    {.name = "conv2d", .weighted = {"Conv2d"}},
    {.name = "conv3d", .weighted = {"Conv3d"}},
    {.name = "conv_transpose1d", .weighted = {"ConvTranspose1d"}},
    {.name = "conv_transpose2d", .weighted = {"ConvTranspose2d"}},
    {.name = "conv_transpose3d", .weighted = {"ConvTranspose3d"}},
    {.name = "convolution", .reach = Reach::kConvolution, .macs = MacRule::kConvolution},
    {.name = "deform_conv2d", .macs = MacRule::kConvolution, .weighted = {"DeformConv2d"}, .ours = true},
    // matrix products
    {.name = "mm", .macs = MacRule::kProduct},
    {.name = "bmm", .macs = MacRule::kProduct},
    {.name = "addmm", .macs = MacRule::kAddedProduct, .weighted = {"Linear"}},
    {.name = "baddbmm", .macs = MacRule::kAddedProduct},
    {.name = "matmul", .weighted = {"Linear"}},
    {.name = "embedding", .weighted = {"Embedding"}},
    // the kernels of scaled_dot_product_attention that are no matrix products
    {.name = "_scaled_dot_product_flash_attention_for_cpu", .macs = MacRule::kAttention},
    {.name = "_scaled_dot_product_flash_attention", .macs = MacRule::kAttention},
    {.name = "_scaled_dot_product_efficient_attention", .macs = MacRule::kAttention},
    {.name = "_scaled_dot_product_cudnn_attention", .macs = MacRule::kAttention},
    // poolings, paddings, resampling
    {.name = "max_pool2d", .reach = Reach::kMaxPool, .modules = {"MaxPool2d"}},
    {.name = "avg_pool2d", .reach = Reach::kAvgPool, .modules = {"AvgPool2d"}},
    {.name = "adaptive_avg_pool2d", .modules = {"AdaptiveAvgPool2d"}},
    {.name = "adaptive_max_pool2d", .modules = {"AdaptiveMaxPool2d"}},
    {.name = "constant_pad_nd", .reach = Reach::kPad, .modules = {"ZeroPad2d", "ConstantPad2d"}},
    {.name = "reflection_pad2d", .reach = Reach::kPad, .modules = {"ReflectionPad2d"}},
    {.name = "replication_pad2d", .reach = Reach::kPad, .modules = {"ReplicationPad2d"}},
    {.name = "upsample_nearest2d", .modules = {"Upsample"}},
    {.name = "upsample_bilinear2d", .modules = {"Upsample"}},
    {.name = "upsample_bicubic2d", .modules = {"Upsample"}},
    {.name = "pixel_shuffle", .modules = {"PixelShuffle"}},
    {.name = "pixel_unshuffle", .modules = {"PixelUnshuffle"}},
    {.name = "flatten", .modules = {"Flatten"}},
    // questions about a shape or a type
    {.name = "is_floating_point", .shape_alone = true},
    {.name = "is_signed", .shape_alone = true},
    {.name = "is_same_size", .shape_alone = true},
    {.name = "result_type", .shape_alone = true},
    {.name = "can_cast", .shape_alone = true},
    {.name = "numel", .shape_alone = true},
    {.name = "dim", .shape_alone = true},
    {.name = "stride", .shape_alone = true},
    {.name = "size", .shape_alone = true},
    {.name = "is_set_to", .shape_alone = true},
    {.name = "is_pinned", .shape_alone = true},
    {.name = "storage_offset", .shape_alone = true},
    {.name = "sym_size", .shape_alone = true},
    {.name = "sym_numel", .shape_alone = true},
    {.name = "sym_stride", .shape_alone = true},
    {.name = "cudnn_is_acceptable", .shape_alone = true},
};

// Operators on whose tensors' strides nothing depends, and which are steady. Most are known here for that alone.
constexpr std::string_view kSteady[] = {
    // each element
    "relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "leaky_relu", "elu", "silu", "gelu", "mish",
    "sigmoid", "tanh", "hardswish", "hardsigmoid", "selu", "celu", "softplus", "softshrink", "log_sigmoid", "prelu",
    "dropout", "feature_dropout", "alpha_dropout", "add", "sub", "rsub", "mul", "neg", "abs", "square", "maximum",
    "minimum", "fill", "zero", "copy", "addcmul", "lerp",
    // views, and copies of parts
    "clone", "contiguous", "detach", "alias", "to", "_to_copy", "reshape", "flatten", "unflatten", "view",
    "_unsafe_view", "view_as", "reshape_as", "permute", "transpose", "t", "numpy_T", "mT", "movedim", "moveaxis",
    "swapaxes", "swapdims", "select", "slice", "narrow", "chunk", "split", "split_with_sizes", "tensor_split",
    "unbind", "squeeze", "unsqueeze", "expand", "expand_as", "broadcast_to", "diagonal", "flip", "roll", "rot90",
    "repeat", "tile", "repeat_interleave", "cat", "stack", "concat", "hstack", "vstack", "tril", "triu",
    "index_select", "gather", "take_along_dim", "embedding", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "constant_pad_nd", "reflection_pad2d", "replication_pad2d", "pad", "_pad_enum", "im2col", "col2im",
    // sums
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear", "mm", "bmm",
    "addmm", "baddbmm", "matmul", "mean", "sum", "amax", "amin", "softmax", "max_pool2d", "avg_pool2d",
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "upsample_nearest2d", "_upsample_nearest_exact2d",
    "upsample_bilinear2d", "upsample_bicubic2d",
};

// More operators on whose tensors' strides nothing depends. Those that divide, compare, round or sort are here: they
// make large differences of small ones.
constexpr std::string_view kAnyLayout[] = {
    "batch_norm", "instance_norm", "group_norm", "layer_norm", "local_response_norm", "log_softmax", "logsumexp",
    "threshold", "hardshrink", "div", "true_divide", "reciprocal", "pow", "sqrt", "rsqrt", "exp", "expm1", "log",
    "log1p", "log2", "log10", "sin", "cos", "tan", "atan", "erf", "var", "std", "norm", "linalg_vector_norm",
    "cumsum", "prod", "gt", "lt", "ge", "le", "eq", "ne", "greater", "less", "logical_and", "logical_or",
    "logical_not", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_not", "where", "masked_fill", "any", "all",
    "isnan", "isinf", "isfinite", "argmax", "argmin", "max", "min", "sort", "topk", "round", "floor", "ceil",
    "trunc", "sign", "remainder", "fmod", "index",
};

// What an operator looks at the shape of, and nothing else: which of its arguments.
constexpr std::pair<std::string_view, std::size_t> kShaped[] = {
    {"reshape_as", 1}, {"view_as", 1},   {"expand_as", 1}, {"type_as", 1},   {"empty_like", 0}, {"zeros_like", 0},
    {"ones_like", 0},  {"full_like", 0}, {"new_empty", 0}, {"new_zeros", 0}, {"new_ones", 0},   {"new_full", 0},
};
// clang-format on

static_assert(std::ranges::all_of(kOperators, [](const OperatorRow& row) {
  return std::ranges::count(kOperators, row.name, &OperatorRow::name) == 1;
}));

/// Gives the row of an operator; an empty one if the table has none.
const OperatorRow& row_of(std::string_view plain) {
  static const auto rows = [] {
    std::unordered_map<std::string_view, const OperatorRow*> map;
    for (const OperatorRow& row : kOperators) map.emplace(row.name, &row);
    return map;
  }();
  static constexpr OperatorRow kNone{};
  const auto found = rows.find(plain);
  return found == rows.end() ? kNone : *found->second;
}

bool contains(const Names& names, std::string_view name) {
  return !name.empty() && std::find(names.begin(), names.end(), name) != names.end();
}

/// Gives the row of an operator by its full name; other libraries have operators of these plain names.
const OperatorRow& row_of_full(std::string_view name) {
  static constexpr OperatorRow kNone{};
  const OperatorRow& row = row_of(plain_name(name));
  return name.starts_with(row.ours ? "convkit::" : "aten::") ? row : kNone;
}

}  // namespace

std::string plain_name(std::string_view name) {
  if (const auto colons = name.find("::"); colons != std::string_view::npos) {
    name.remove_prefix(colons + 2);
  }
  if (is_in_place(name)) name.remove_suffix(1);
  return std::string(name);
}

bool is_in_place(std::string_view name) {
  return name.size() > 1 && name.ends_with('_') && !name.ends_with("__");
}

bool is_activation(std::string_view plain) {
  return row_of(plain).activation;
}

bool tells_shape_alone(std::string_view plain) {
  return row_of(plain).shape_alone;
}

bool reads_shape_alone(std::string_view plain, std::size_t i) {
  return std::ranges::find(kShaped, std::pair(plain, i)) != std::end(kShaped);
}

bool takes_any_layout(std::string_view plain) {
  static const std::set<std::string_view> names = [] {
    std::set<std::string_view> all(std::begin(kSteady), std::end(kSteady));
    all.insert(std::begin(kAnyLayout), std::end(kAnyLayout));
    return all;
  }();
  return names.contains(plain);
}

bool is_steady(std::string_view plain) {
  static const std::set<std::string_view> names(std::begin(kSteady), std::end(kSteady));
  return names.contains(plain);
}

bool is_called_by(std::string_view type, std::string_view plain) {
  return contains(row_of(plain).modules, type);
}

bool is_given_weights_by(std::string_view type, std::string_view name) {
  const OperatorRow& row = row_of_full(name);
  return is_in_place(name) == row.in_place && contains(row.weighted, type);
}

Reach reach_of(std::string_view name) {
  return row_of_full(name).reach;
}

MacRule mac_rule_of(std::string_view name) {
  return is_in_place(name) ? MacRule::kNone : row_of_full(name).macs;
}

}  // namespace convkit::detail
