#include "layers/operator_gradients.h"

#include "layers/deformable.h"
#include "layers/operator_library.h"
#include "layers/region_operators.h"
#include "layers/region_pooling.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace convkit::detail {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

/// A gradient, which depends on its sources in a way that nobody can differentiate.
struct Gradient : Function<Gradient> {
  static torch::Tensor forward(AutogradContext* context, at::TensorList,
                               const torch::Tensor& gradient, const std::string& name) {
    context->saved_data["name"] = name;
    return gradient;
  }
  static variable_list backward(AutogradContext* context, const variable_list&) {
    TORCH_CHECK(false, context->saved_data["name"].toStringRef(),
                ": its gradient has no gradient in its turn");
  }
};

/// Gives what `compute` computes without autograd. Where a graph of the gradient is made, it ends in
/// an error.
template <typename Compute>
torch::Tensor gradient_of(const char* name, const variable_list& sources, const Compute& compute) {
  torch::Tensor gradient;
  {
    const torch::NoGradGuard no_grad;
    gradient = compute();
  }
  if (!gradient.defined() || !torch::GradMode::is_enabled()) return gradient;
  return Gradient::apply(at::TensorList(sources), gradient, std::string(name));
}

void save(AutogradContext* context, const torch::Tensor& input, const RegionPooling& pooling) {
  auto& data = context->saved_data;
  data["sizes"] = input.sizes().vec();
  data["spatial_scale"] = pooling.spatial_scale;
  data["bins"] = std::vector<int64_t>{pooling.height, pooling.width};
  data["sampling_ratio"] = pooling.sampling_ratio;
  data["aligned"] = pooling.aligned;
}

RegionPooling saved_pooling(AutogradContext* context, const char* name) {
  auto& data = context->saved_data;
  const auto bins = data["bins"].toIntVector();
  return {.name = name,
          .spatial_scale = data["spatial_scale"].toDouble(),
          .height = bins[0],
          .width = bins[1],
          .sampling_ratio = data["sampling_ratio"].toInt(),
          .aligned = data["aligned"].toBool()};
}

struct RoiAlign : Function<RoiAlign> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& input,
                               const torch::Tensor& boxes, const RegionPooling& pooling) {
    save(context, input, pooling);
    context->save_for_backward({boxes});
    const at::AutoDispatchBelowADInplaceOrView below;
    return call_roi_align(input, boxes, pooling);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const torch::Tensor boxes = context->get_saved_variables()[0];
    const auto sizes = context->saved_data["sizes"].toIntVector();
    const RegionPooling pooling = saved_pooling(context, "roi_align");
    return {
        gradient_of("roi_align", gradients,
                    [&] { return roi_align_backward_cpu(gradients[0], boxes, pooling, sizes); }),
        {},
        {}};
  }
};

struct RoiPool : Function<RoiPool> {
  static variable_list forward(AutogradContext* context, const torch::Tensor& input,
                               const torch::Tensor& boxes, const RegionPooling& pooling) {
    save(context, input, pooling);
    const at::AutoDispatchBelowADInplaceOrView below;
    const auto [result, places] = call_roi_pool(input, boxes, pooling);
    context->save_for_backward({boxes, places});
    context->mark_non_differentiable({places});
    return {result, places};
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto sizes = context->saved_data["sizes"].toIntVector();
    const RegionPooling pooling = saved_pooling(context, "roi_pool");
    return {gradient_of("roi_pool", {gradients[0]},
                        [&] {
                          return roi_pool_backward_cpu(gradients[0], saved[0], saved[1], pooling,
                                                       sizes);
                        }),
            {},
            {}};
  }
};

struct PsRoiAlign : Function<PsRoiAlign> {
  static variable_list forward(AutogradContext* context, const torch::Tensor& input,
                               const torch::Tensor& boxes, const RegionPooling& pooling) {
    save(context, input, pooling);
    context->save_for_backward({boxes});
    const at::AutoDispatchBelowADInplaceOrView below;
    const auto [result, channels] = call_ps_roi_align(input, boxes, pooling);
    context->mark_non_differentiable({channels});
    return {result, channels};
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const torch::Tensor boxes = context->get_saved_variables()[0];
    const auto sizes = context->saved_data["sizes"].toIntVector();
    const RegionPooling pooling = saved_pooling(context, "ps_roi_align");
    return {
        gradient_of("ps_roi_align", {gradients[0]},
                    [&] { return ps_roi_align_backward_cpu(gradients[0], boxes, pooling, sizes); }),
        {},
        {}};
  }
};

std::array<int64_t, 2> pair_of(const c10::IValue& value) {
  const auto numbers = value.toIntVector();
  return {numbers.at(0), numbers.at(1)};
}

struct DeformConv : Function<DeformConv> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& input,
                               const torch::Tensor& weight, const torch::Tensor& offset,
                               const std::optional<torch::Tensor>& mask,
                               const std::optional<torch::Tensor>& bias,
                               const DeformableOptions& options) {
    auto& data = context->saved_data;
    const auto numbers = [](const std::array<int64_t, 2>& pair) {
      return std::vector<int64_t>(pair.begin(), pair.end());
    };
    data["stride"] = numbers(options.stride);
    data["padding"] = numbers(options.padding);
    data["dilation"] = numbers(options.dilation);
    data["groups"] = options.groups;
    data["offset_groups"] = options.offset_groups;
    const DeformableTensors tensors{input, weight, offset, mask.value_or(torch::Tensor()),
                                    bias.value_or(torch::Tensor())};
    context->save_for_backward({input, weight, offset, tensors.mask, tensors.bias});
    const at::AutoDispatchBelowADInplaceOrView below;
    return call_deform_conv2d(tensors, options);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    auto& data = context->saved_data;
    const DeformableOptions options{.stride = pair_of(data["stride"]),
                                    .padding = pair_of(data["padding"]),
                                    .dilation = pair_of(data["dilation"]),
                                    .groups = data["groups"].toInt(),
                                    .offset_groups = data["offset_groups"].toInt()};
    DeformableTensors result;
    const DeformableTensors tensors{saved[0], saved[1], saved[2], saved[3], saved[4]};
    variable_list sources = gradients;
    for (const torch::Tensor& tensor : saved) {
      if (tensor.defined()) sources.push_back(tensor);
    }
    const auto first = [&] {
      result = deform_conv2d_backward_cpu(gradients[0], tensors, options);
      return result.input;
    };
    result.input = gradient_of("deform_conv2d", sources, first);
    const auto given = [&](const torch::Tensor& gradient) {
      return gradient_of("deform_conv2d", sources, [&] { return gradient; });
    };
    return {result.input,       given(result.weight), given(result.offset),
            given(result.mask), given(result.bias),   {}};
  }
};

}  // namespace

torch::Tensor roi_align_autograd(const torch::Tensor& input, const torch::Tensor& boxes,
                                 const RegionPooling& pooling) {
  return RoiAlign::apply(input, boxes, pooling);
}

std::tuple<torch::Tensor, torch::Tensor> roi_pool_autograd(const torch::Tensor& input,
                                                           const torch::Tensor& boxes,
                                                           const RegionPooling& pooling) {
  const variable_list results = RoiPool::apply(input, boxes, pooling);
  return {results[0], results[1]};
}

std::tuple<torch::Tensor, torch::Tensor> ps_roi_align_autograd(const torch::Tensor& input,
                                                               const torch::Tensor& boxes,
                                                               const RegionPooling& pooling) {
  const variable_list results = PsRoiAlign::apply(input, boxes, pooling);
  return {results[0], results[1]};
}

torch::Tensor deform_conv2d_autograd(const DeformableTensors& tensors,
                                     const DeformableOptions& options) {
  const auto given = [](const torch::Tensor& x) {
    return x.defined() ? std::optional(x) : std::nullopt;
  };
  return DeformConv::apply(tensors.input, tensors.weight, tensors.offset, given(tensors.mask),
                           given(tensors.bias), options);
}

}  // namespace convkit::detail
