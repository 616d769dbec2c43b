#include "compile/onednn/packed_weights.h"

namespace convkit::detail {

using dnnl::memory;

memory packed(const torch::Tensor& tensor, const memory::desc& from, const memory::desc& to) {
  memory source(from, cpu_engine(), tensor.data_ptr());
  memory result(to, cpu_engine());
  dnnl::stream stream(cpu_engine());
  dnnl::reorder(source, result).execute(stream, source, result);
  stream.wait();
  return result;
}

memory packed(const torch::Tensor& tensor, const memory::desc& to) {
  const Sizes sizes = tensor.sizes().vec();
  return packed(tensor, {sizes, memory::data_type::f32, row_strides(sizes)}, to);
}

memory vector_of(const torch::Tensor& tensor) {
  const torch::Tensor numbers = tensor.to(torch::kFloat32).contiguous();
  const memory::desc desc({numbers.numel()}, memory::data_type::f32, memory::format_tag::a);
  return packed(numbers, desc, desc);
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
