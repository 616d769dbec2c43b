#include <convkit/convkit.h>

#include "parity/reference.h"

#include <ATen/Parallel.h>

#include <map>
#include <sstream>

namespace {

using namespace convkit;
using parity::Case;

Axis axis(const Case& given) {
  return given.word("axis") == "x" ? Axis::kX : Axis::kY;
}

UpsampleMode interpolation(const std::string& name) {
  if (name == "nearest") return UpsampleMode::kNearest;
  if (name == "nearest-exact") return UpsampleMode::kNearestExact;
  if (name == "bilinear") return UpsampleMode::kBilinear;
  REQUIRE(name == "bicubic");
  return UpsampleMode::kBicubic;
}

torch::Tensor parameters_of_deform_conv(const Case& given) {
  torch::manual_seed(static_cast<uint64_t>(given.option("seed")));
  DeformConv2d module(DeformConv2dOptions(given.option("in_channels"), given.option("out_channels"),
                                          given.pair("kernel_size"))
                          .stride(given.pair("stride"))
                          .padding(given.pair("padding"))
                          .dilation(given.pair("dilation"))
                          .groups(given.option("groups"))
                          .bias(given.boolean("bias")));
  std::ostringstream printed;
  printed << *module;
  CHECK(printed.str() == given.word("repr"));
  std::string keys;
  std::vector<torch::Tensor> parameters;
  for (const auto& entry : state_dict(*module)) {
    keys += (keys.empty() ? "" : " ") + entry.key();
    parameters.push_back(entry.value().flatten());
  }
  CHECK(keys == given.word("keys"));
  return torch::cat(parameters);
}

torch::Tensor call(const Case& given) {
  const std::string function = given.text("function");
  const auto inputs = given.tensors("inputs");
  if (function == "sobel_kernel") return sobel_kernel(axis(given), given.option("kernel_size"));
  if (function == "scharr_kernel") return scharr_kernel(axis(given));
  if (function == "laplacian_kernel") return laplacian_kernel(given.option("kernel_size"));
  if (function == "gaussian_kernel") {
    return gaussian_kernel(given.pair("kernel_size"), given.real_pair("sigma"));
  }
  if (function == "box_kernel") return box_kernel(given.pair("kernel_size"));
  if (function == "gabor_kernel") {
    return gabor_kernel({.kernel_size = given.option("kernel_size"),
                         .sigma = given.real("sigma"),
                         .theta = given.real("theta"),
                         .lambda = given.real("lambda"),
                         .gamma = given.real("gamma"),
                         .psi = given.real("psi")});
  }
  if (function == "filter2d") return filter2d(inputs[0], inputs[1], given.pad_mode("border"));
  if (function == "pad_same") {
    return pad_same(inputs[0], given.pair("kernel_size"), given.pair("stride"),
                    given.pair("dilation"), given.real("value"));
  }
  if (function == "trunc_normal_") {
    torch::manual_seed(static_cast<uint64_t>(given.option("seed")));
    torch::Tensor filled = torch::empty({7, 33}, given.tensor("output").scalar_type());
    return trunc_normal_(filled, given.real("mean"), given.real("std"), given.real("a"),
                         given.real("b"));
  }
  if (function == "make_divisible") {
    std::optional<int64_t> min_value;
    if (given.has_option("min_value")) min_value = given.option("min_value");
    return torch::tensor(make_divisible(given.real("v"), given.option("divisor"), min_value));
  }
  if (function == "attention_flops") {
    torch::nn::Identity module;
    const auto attention = [&] {
      at::scaled_dot_product_attention(inputs[0], inputs[1], inputs[2]);
    };
    return torch::tensor(2 * summarize(*module, attention).macs);
  }
  if (function == "box_iou") return box_iou(inputs[0], inputs[1], given.word("fmt"));
  if (function == "DeformConv2d") return parameters_of_deform_conv(given);
  REQUIRE(function == "upsample_like");
  return upsample_like(inputs[0], inputs[1], interpolation(given.word("mode")));
}

}  // namespace

TEST_CASE("every function gives Python's values, bit for bit", "[parity]") {
  const auto calls = parity::read("calls");
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  std::map<std::string, int> counts;
  for (const Case& given : calls) {
    INFO(given.text("name"));
    const std::string function = given.text("function");
    const torch::Tensor python = given.tensor("output");
    if (function != "box_kernel") parity::check_alive("output", python);
    if (function == "gabor_kernel") {
      // OpenCV takes exp and cos from another library: they differ in the last bit of a double,
      // which changes the float32 that it is rounded to by one unit now and then.
      CHECK(torch::allclose(call(given), python, /*rtol=*/1.2e-7, /*atol=*/1e-16));
    } else {
      parity::check_equal("output", call(given), python);
    }
    ++counts[function];
  }
  at::set_num_threads(threads);
  CHECK(counts.size() == 14);
}
