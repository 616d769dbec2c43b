#include "compile/onednn/packed_weights.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace convkit::detail {

using dnnl::memory;

PackedConstant packed(const torch::Tensor& tensor, const memory::desc& from,
                      const memory::desc& to) {
  const auto bytes = static_cast<int64_t>(to.get_size());
  const c10::Storage storage = at::empty({bytes}, torch::kByte).storage();
  memory source(from, cpu_engine(), tensor.data_ptr());
  memory result(to, cpu_engine(), storage.mutable_data());
  dnnl::stream stream(cpu_engine());
  dnnl::reorder(source, result).execute(stream, source, result);
  stream.wait();
  return {result, storage};
}

PackedConstant packed(const torch::Tensor& tensor, const memory::desc& to) {
  const Sizes sizes = tensor.sizes().vec();
  return packed(tensor, {sizes, memory::data_type::f32, row_strides(sizes)}, to);
}

PackedConstant vector_of(const torch::Tensor& tensor) {
  const torch::Tensor numbers = tensor.to(torch::kFloat32).contiguous();
  const memory::desc desc({numbers.numel()}, memory::data_type::f32, memory::format_tag::a);
  return packed(numbers, desc, desc);
}

void SharedConstants::share(Operand& operand) {
  if (pool_ == nullptr || !operand.bytes) return;
  const auto known = std::find_if(of_step_.begin(), of_step_.end(), [&](const auto& pair) {
    return pair.first.is_alias_of(operand.bytes);
  });
  const c10::Storage shared = known != of_step_.end() ? known->second : pool_->share(operand.bytes);
  if (known == of_step_.end()) of_step_.emplace_back(operand.bytes, shared);
  if (shared.is_alias_of(operand.bytes)) return;
  operand.bytes = shared;
  operand.constant = memory(operand.desc, cpu_engine(), shared.mutable_data());
}

torch::Tensor grouped_weight(const Convolution& c) {
  torch::Tensor weight = c.weight;
  if (c.groups > 1) {
    Sizes sizes = weight.sizes().vec();
    sizes[0] /= c.groups;
    sizes.insert(sizes.begin(), c.groups);
    weight = weight.reshape(sizes);
  }
  if (c.transposed) weight = weight.transpose(c.groups > 1 ? 1 : 0, c.groups > 1 ? 2 : 1);
  return weight.contiguous();
}

memory::desc bias_desc(const Convolution& c) {
  if (!c.bias.defined()) return {};
  return {{c.bias.numel()}, memory::data_type::f32, memory::format_tag::a};
}

}  // namespace convkit::detail
