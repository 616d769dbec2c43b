#ifdef CONVKIT_ONEDNN

#include "program.h"

#include <algorithm>
#include <map>
#include <sstream>

namespace convkit::detail {

namespace {

using dnnl::memory;

memory::data_type type_of(torch::Dtype dtype) {
  TORCH_CHECK(dtype == torch::kFloat32 || dtype == torch::kBFloat16, "compile: no oneDNN type");
  return dtype == torch::kFloat32 ? memory::data_type::f32 : memory::data_type::bf16;
}

std::vector<int64_t> row_strides(const std::vector<int64_t>& sizes) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (std::size_t i = sizes.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * std::max<int64_t>(sizes[i], 1);
  }
  return strides;
}

/// Strides of one element do not matter.
bool same_layout(const std::vector<int64_t>& sizes, const std::vector<int64_t>& a,
                 const std::vector<int64_t>& b) {
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] > 1 && a.at(i) != b.at(i)) return false;
  }
  return true;
}

int64_t count(const std::vector<int64_t>& sizes) {
  int64_t result = 1;
  for (const int64_t size : sizes) result *= size;
  return result;
}

memory::desc desc_of(const Slot& slot) { return {slot.sizes, type_of(slot.dtype), slot.strides}; }

/// A constant of one's own, in a layout that the primitive chose.
memory packed(const torch::Tensor& tensor, const memory::desc& from, const memory::desc& to) {
  memory source(from, cpu_engine(), tensor.data_ptr());
  memory result(to, cpu_engine());
  dnnl::stream stream(cpu_engine());
  dnnl::reorder(source, result).execute(stream, source, result);
  stream.wait();
  return result;
}

memory vector_of(const torch::Tensor& tensor, memory::dims dims) {
  const torch::Tensor numbers = tensor.to(torch::kFloat32).contiguous();
  const memory::desc desc(dims, memory::data_type::f32, row_strides(dims));
  return packed(numbers, desc, desc);
}

struct Eltwise {
  dnnl::algorithm algorithm;
  float alpha = 0;
  float beta = 0;
};

std::optional<Eltwise> eltwise_of(const Operation& operation) {
  using dnnl::algorithm;
  const std::string name = plain_name(operation);
  const auto& arguments = operation.arguments;
  const auto number = [&](std::size_t i) {
    return static_cast<float>(arguments.at(i).constant.toScalar().toDouble());
  };
  const auto given = [&](std::size_t i) { return arguments.at(i).constant.isScalar(); };
  if (!operation.handle.operator_name().overload_name.empty()) return std::nullopt;
  if (name == "relu") return Eltwise{algorithm::eltwise_relu};
  if (name == "relu6") return Eltwise{algorithm::eltwise_clip, 0, 6};
  if (name == "hardtanh") return Eltwise{algorithm::eltwise_clip, number(1), number(2)};
  if (name == "clamp" && given(1) && given(2)) {
    return Eltwise{algorithm::eltwise_clip, number(1), number(2)};
  }
  if (name == "silu") return Eltwise{algorithm::eltwise_swish, 1};
  if (name == "sigmoid") return Eltwise{algorithm::eltwise_logistic};
  if (name == "tanh") return Eltwise{algorithm::eltwise_tanh};
  if (name == "hardswish") return Eltwise{algorithm::eltwise_hardswish, 1.0F / 6, 0.5F};
  if (name == "hardsigmoid") return Eltwise{algorithm::eltwise_hardsigmoid, 1.0F / 6, 0.5F};
  if (name == "leaky_relu") return Eltwise{algorithm::eltwise_relu, number(1)};
  if (name == "gelu") {
    return Eltwise{arguments[1].constant.toStringRef() == "tanh" ? algorithm::eltwise_gelu_tanh
                                                                 : algorithm::eltwise_gelu_erf};
  }
  return std::nullopt;
}

/// Lowers a plan's steps one by one. Each is also run by LibTorch, on the example: that tells which
/// operators only look at their input's memory, and how the others lay out their results.
class Lowering {
 public:
  Lowering(const Plan& plan, const Tensors& example, torch::Dtype dtype,
           std::optional<torch::MemoryFormat> memory_format)
      : plan_(plan),
        dtype_(dtype),
        memory_format_(memory_format),
        values_(plan.values.size()),
        slots_(plan.values.size()),
        last_use_(plan.values.size()) {
    program_.constants.resize(plan.values.size());
    for (std::size_t i = 0; i < plan.values.size(); ++i) {
      if (plan.values[i].kind != Value::Kind::kConstant) continue;
      program_.constants[i] = plan.values[i].tensor;
      values_[i] = plan.values[i].tensor;
    }
    for (std::size_t i = 0; i < example.size(); ++i) {
      values_[i] = example[i];
      Slot slot = slot_like(example[i], torch::kFloat32);
      slot.dtype = example[i].scalar_type();
      slot.buffer = new_buffer(Buffer::Kind::kInput, 0, static_cast<int64_t>(i));
      set_slot(static_cast<int64_t>(i), slot);
    }
  }

  Program lower() {
    const auto last = last_uses(plan_);
    for (std::size_t i = 0; i < last.size(); ++i) {
      for (const int64_t id : last[i]) last_use_.at(index(id)) = i;
    }
    for (const int64_t id : plan_.outputs) last_use_.at(index(id)) = plan_.steps.size();

    for (step_ = 0; step_ < plan_.steps.size(); ++step_) {
      const Step& step = plan_.steps[step_];
      run_step(step, values_);
      std::string why;
      if (!try_to_lower(step, &why)) lower_to_libtorch(step, why);
      for (const int64_t id : last[step_]) {
        if (slots_.at(index(id)) && buffer(*slots_[index(id)]).kind == Buffer::Kind::kTensor &&
            !program_.commands.empty()) {
          program_.commands.back().drops.push_back(id);
        }
        values_.at(index(id)) = torch::Tensor();
      }
    }
    for (std::size_t i = 0; i < plan_.outputs.size(); ++i) add_output(plan_.outputs[i]);
    find_lifetimes();
    return std::move(program_);
  }

 private:
  static std::size_t index(int64_t id) { return static_cast<std::size_t>(id); }
  const Value& value(int64_t id) const { return plan_.values.at(index(id)); }
  Buffer& buffer(const Slot& slot) { return program_.buffers.at(index(slot.buffer)); }
  const Slot& slot(int64_t id) const { return slots_.at(index(id)).value(); }

  int64_t new_buffer(Buffer::Kind kind, int64_t bytes, int64_t of = -1) {
    Buffer next;
    next.kind = kind;
    next.bytes = bytes;
    next.index = of;
    program_.buffers.push_back(next);
    holders_.emplace_back();
    return static_cast<int64_t>(program_.buffers.size()) - 1;
  }

  void set_slot(int64_t id, const Slot& place) {
    slots_.at(index(id)) = place;
    holders_.at(index(place.buffer)).push_back(id);
  }

  static Slot slot_like(const torch::Tensor& tensor, torch::Dtype dtype) {
    Slot result;
    result.sizes = tensor.sizes().vec();
    result.strides = tensor.strides().vec();
    result.dtype = dtype;
    return result;
  }

  Slot new_slot(std::vector<int64_t> sizes, std::vector<int64_t> strides, torch::Dtype dtype) {
    Slot result;
    result.buffer = new_buffer(Buffer::Kind::kArena,
                               count(sizes) * static_cast<int64_t>(c10::elementSize(dtype)));
    result.sizes = std::move(sizes);
    result.strides = std::move(strides);
    result.dtype = dtype;
    return result;
  }

  static std::vector<int64_t> dense_strides(const std::vector<int64_t>& sizes) {
    return sizes.size() == 4 ? channels_last_strides(sizes) : row_strides(sizes);
  }

  Slot new_slot(int64_t id) {
    return new_slot(value(id).sizes, dense_strides(value(id).sizes), dtype_);
  }

  bool is_constant(int64_t id) const { return value(id).kind == Value::Kind::kConstant; }

  // ---- Commands.

  static Operand operand(int name, const Slot& place) {
    return operand(name, place, desc_of(place));
  }
  static Operand operand(int name, const Slot& place, const memory::desc& desc) {
    Operand result;
    result.name = name;
    result.desc = desc;
    result.buffer = place.buffer;
    result.offset = place.offset * static_cast<int64_t>(c10::elementSize(place.dtype));
    return result;
  }
  Operand operand(int name, memory constant) {
    Operand result;
    result.name = name;
    result.desc = constant.get_desc();
    result.constant = std::move(constant);
    program_.weight_bytes += result.desc.get_size();
    return result;
  }

  template <typename Descriptor>
  void add_primitive(const Descriptor& descriptor, const dnnl::primitive& primitive,
                     std::vector<Operand> operands, const std::string& what) {
    const memory::desc scratchpad = descriptor.scratchpad_desc();
    if (scratchpad.get_size() > 0) {
      Operand last;
      last.name = DNNL_ARG_SCRATCHPAD;
      last.desc = scratchpad;
      operands.push_back(last);
      program_.scratchpad_bytes = std::max(program_.scratchpad_bytes, scratchpad.get_size());
    }
    program_.commands.push_back(
        {PrimitiveCommand{primitive, std::move(operands)}, {}, what + "  (oneDNN " +
             descriptor.impl_info_str() + ")"});
  }

  static dnnl::primitive_attr attributes() {
    dnnl::primitive_attr result;
    result.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return result;
  }

  void add_copy(const Slot& from, const Slot& to, const std::string& why) {
    const bool images = from.sizes.size() == 4 && from.strides == row_strides(from.sizes) &&
                        to.strides == channels_last_strides(to.sizes);
    if (images && from.sizes[1] <= 4 && from.dtype == torch::kFloat32 && to.dtype == from.dtype) {
      program_.commands.push_back({InterleaveCommand{from, to}, {}, why + "  (own loop)"});
      return;
    }
    const dnnl::reorder::primitive_desc descriptor(cpu_engine(), desc_of(from), cpu_engine(),
                                                   desc_of(to), attributes());
    add_primitive(descriptor, dnnl::reorder(descriptor),
                  {operand(DNNL_ARG_FROM, from), operand(DNNL_ARG_TO, to)}, why);
  }

  /// The value in a layout and type: where it is, or a copy.
  Slot as(int64_t id, const std::vector<int64_t>& strides, torch::Dtype dtype) {
    const Slot& now = slot(id);
    if (now.dtype == dtype && same_layout(now.sizes, now.strides, strides)) {
      Slot result = now;
      result.strides = strides;
      return result;
    }
    const auto key = std::make_tuple(id, strides, dtype);
    const auto known = copies_.find(key);
    if (known != copies_.end()) return known->second;
    const Slot copy = new_slot(now.sizes, strides, dtype);
    add_copy(now, copy, dtype == now.dtype ? "to another layout" : "to another type");
    if (!plan_.overwritten.contains(id)) copies_.emplace(key, copy);
    return copy;
  }
  Slot dense(int64_t id) { return as(id, dense_strides(slot(id).sizes), dtype_); }

  // ---- Steps.

  bool is_plain(int64_t id) const {
    return value(id).dtype == torch::kFloat32 && !plan_.overwritten.contains(id);
  }

  bool try_to_lower(const Step& step, std::string* why) {
    const std::size_t commands = program_.commands.size();
    const auto copies = copies_;
    try {
      for (const int64_t id : outputs_of(step)) {
        if (!is_plain(id)) return false;
      }
      if (const auto* convolution = std::get_if<Convolution>(&step)) return lower(*convolution);
      if (const auto* norm = std::get_if<ChannelNorm>(&step)) return lower(*norm);
      return lower_operation(std::get<Operation>(step));
    } catch (const dnnl::error& error) {
      *why = std::string(": oneDNN: ") + error.what();
      program_.commands.resize(commands);
      copies_ = copies;
      return false;
    }
  }

  bool lower_operation(const Operation& operation) {
    if (operation.outputs.size() == 1) {
      const std::string name = plain_name(operation);
      const bool first = !operation.arguments.empty() && !operation.arguments[0].values.empty() &&
                         operation.arguments[0].values[0] >= 0;
      if (first && lower_named(operation, name)) return true;
    }
    return lower_view(operation);
  }

  bool lower_named(const Operation& operation, const std::string& name) {
    const int64_t x = operation.arguments[0].values[0];
    const int64_t y = operation.outputs[0];
    const bool image = value(x).sizes.size() == 4 && value(y).sizes.size() == 4 && is_float(x);
    if (name == "max_pool2d" && image) return lower_max_pool(operation, x, y);
    if (name == "avg_pool2d" && image) return lower_average_pool(operation, x, y);
    if (name == "adaptive_avg_pool2d" && image) return lower_adaptive_pool(x, y);
    if (name == "mean") return lower_mean(operation, x, y);
    if (name == "upsample_nearest2d" && image) return lower_upsample(operation, x, y, false);
    if (name == "upsample_bilinear2d" && image) return lower_upsample(operation, x, y, true);
    if (name == "pixel_shuffle" && image) return lower_shuffle(operation, x, y);
    if (name == "cat") return lower_cat(operation, y);
    if (name == "add" || name == "mul") return lower_binary(operation, name, y);
    if (is_float(x) && !is_constant(x)) {
      if (const auto eltwise = eltwise_of(operation)) return lower_eltwise(*eltwise, name, x, y);
    }
    return false;
  }

  bool is_float(int64_t id) const { return value(id).dtype == torch::kFloat32; }

  /// Whether the memory of `place` may be overwritten by this step's result.
  bool may_overwrite(const Slot& place, const std::vector<int64_t>& strides) {
    const Buffer& memory = buffer(place);
    const int64_t bytes = count(place.sizes) * static_cast<int64_t>(c10::elementSize(place.dtype));
    if (memory.kind != Buffer::Kind::kArena || place.offset != 0 || memory.bytes != bytes ||
        place.strides != strides) {
      return false;
    }
    for (const auto& [key, copy] : copies_) {
      if (copy.buffer == place.buffer) return false;
    }
    const auto& holders = holders_.at(index(place.buffer));
    return std::all_of(holders.begin(), holders.end(), [&](int64_t id) {
      return last_use_.at(index(id)) <= step_ && !plan_.overwritten.contains(id);
    });
  }

  static void append(dnnl::post_ops& ops, const std::optional<Operation>& activation) {
    if (!activation) return;
    const Eltwise eltwise = eltwise_of(*activation).value();
    ops.append_eltwise(eltwise.algorithm, eltwise.alpha, eltwise.beta);
  }

  bool lower(const Convolution& c) {
    if (!is_float(c.input) || is_constant(c.input)) return false;
    if (c.activation && !eltwise_of(*c.activation)) return false;
    if (c.added >= 0 && is_constant(c.added)) return false;
    const Slot x = c.linear ? as(c.input, row_strides(slot(c.input).sizes), dtype_)
                            : dense(c.input);
    auto attr = attributes();
    dnnl::post_ops ops;
    std::vector<Operand> operands;
    Slot y;
    const auto strides = c.linear ? row_strides(value(c.output).sizes)
                                  : channels_last_strides(value(c.output).sizes);
    const auto type = type_of(dtype_);
    const auto rows = [](const std::vector<int64_t>& sizes) {
      return memory::dims{count(sizes) / sizes.back(), sizes.back()};
    };
    const memory::dims y_dims = c.linear ? rows(value(c.output).sizes) : value(c.output).sizes;
    const memory::desc y_desc(y_dims, type, c.linear ? row_strides(y_dims) : strides);
    if (c.added >= 0) {
      const Slot added = as(c.added, strides, dtype_);
      if (may_overwrite(added, strides) && added.buffer != x.buffer) {
        y = added;
        ops.append_sum(1.0F);
      } else {
        ops.append_binary(dnnl::algorithm::binary_add, y_desc);
        operands.push_back(operand(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, added, y_desc));
      }
    }
    append(ops, c.activation);
    attr.set_post_ops(ops);
    if (y.buffer < 0) y = new_slot(value(c.output).sizes, strides, dtype_);

    const bool has_bias = c.bias.defined();
    const memory::desc bias_desc =
        has_bias ? memory::desc({c.bias.numel()}, memory::data_type::f32, memory::format_tag::a)
                 : memory::desc();
    const auto finish = [&](const auto& descriptor, const dnnl::primitive& primitive,
                            const memory::desc& x_desc, const memory::desc& weight_desc,
                            const torch::Tensor& weight) {
      const std::string implementation = descriptor.impl_info_str();
      if (implementation.starts_with("ref")) {
        throw dnnl::error(dnnl_unimplemented, "it has a reference implementation alone");
      }
      operands.push_back(operand(DNNL_ARG_SRC, x, x_desc));
      operands.push_back(operand(DNNL_ARG_DST, y, y_desc));
      operands.push_back(
          operand(DNNL_ARG_WEIGHTS, packed(weight, weight_desc, descriptor.weights_desc())));
      if (has_bias) {
        operands.push_back(operand(DNNL_ARG_BIAS, vector_of(c.bias, {c.bias.numel()})));
      }
      add_primitive(descriptor, primitive, std::move(operands), describe(Step(c)));
    };

    if (c.linear) {
      const memory::dims x_dims = rows(x.sizes);
      const memory::desc x_desc(x_dims, type, row_strides(x_dims));
      const torch::Tensor weight = c.weight.contiguous();
      const memory::dims dims = weight.sizes().vec();
      const dnnl::inner_product_forward::primitive_desc descriptor(
          cpu_engine(), dnnl::prop_kind::forward_inference, x_desc,
          memory::desc(dims, type, memory::format_tag::any), bias_desc, y_desc, attr);
      finish(descriptor, dnnl::inner_product_forward(descriptor), x_desc,
             memory::desc(dims, memory::data_type::f32, row_strides(dims)), weight);
    } else {
      torch::Tensor weight = c.weight;
      if (c.groups > 1) {
        auto sizes = weight.sizes().vec();
        sizes[0] /= c.groups;
        sizes.insert(sizes.begin(), c.groups);
        weight = weight.reshape(sizes);
      }
      if (c.transposed) weight = weight.transpose(c.groups > 1 ? 1 : 0, c.groups > 1 ? 2 : 1);
      weight = weight.contiguous();
      const memory::dims dims = weight.sizes().vec();
      const memory::desc weight_desc(dims, memory::data_type::f32, row_strides(dims));
      const memory::desc any(dims, type, memory::format_tag::any);
      const memory::dims dilation{c.dilation[0] - 1, c.dilation[1] - 1};
      if (c.transposed) {
        const memory::dims right{c.padding[0] - c.output_padding[0],
                                 c.padding[1] - c.output_padding[1]};
        const dnnl::deconvolution_forward::primitive_desc descriptor(
            cpu_engine(), dnnl::prop_kind::forward_inference,
            dnnl::algorithm::deconvolution_direct, desc_of(x), any, bias_desc, y_desc, c.stride,
            dilation, c.padding, right, attr);
        finish(descriptor, dnnl::deconvolution_forward(descriptor), desc_of(x), weight_desc, weight);
      } else {
        const dnnl::convolution_forward::primitive_desc descriptor(
            cpu_engine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
            desc_of(x), any, bias_desc, y_desc, c.stride, dilation, c.padding, c.padding, attr);
        finish(descriptor, dnnl::convolution_forward(descriptor), desc_of(x), weight_desc, weight);
      }
    }
    set_slot(c.output, y);
    return true;
  }

  bool lower(const ChannelNorm& norm) {
    const Slot x = dense(norm.input);
    const Slot y = new_slot(norm.output);
    const memory::dims dims{x.sizes[0], x.sizes[2], x.sizes[3], x.sizes[1]};
    const memory::desc desc(dims, type_of(dtype_), row_strides(dims));
    auto flags = dnnl::normalization_flags::none;
    if (norm.weight.defined()) flags |= dnnl::normalization_flags::use_scale;
    if (norm.bias.defined()) flags |= dnnl::normalization_flags::use_shift;
    const dnnl::layer_normalization_forward::primitive_desc descriptor(
        cpu_engine(), dnnl::prop_kind::forward_inference, desc, desc,
        static_cast<float>(norm.eps), flags, attributes());
    std::vector<Operand> operands{operand(DNNL_ARG_SRC, x, desc), operand(DNNL_ARG_DST, y, desc)};
    const memory::dims channels{x.sizes[1]};
    if (norm.weight.defined()) {
      operands.push_back(operand(DNNL_ARG_SCALE, vector_of(norm.weight, channels)));
    }
    if (norm.bias.defined()) {
      operands.push_back(operand(DNNL_ARG_SHIFT, vector_of(norm.bias, channels)));
    }
    add_primitive(descriptor, dnnl::layer_normalization_forward(descriptor), std::move(operands),
                  describe(Step(norm)));
    set_slot(norm.output, y);
    return true;
  }

  struct Window {
    memory::dims kernel, stride, padding, right, dilation;
  };

  void add_pool(dnnl::algorithm algorithm, const Slot& x, const Slot& y, const Window& window,
                const std::string& what) {
    const dnnl::pooling_forward::primitive_desc descriptor(
        cpu_engine(), dnnl::prop_kind::forward_inference, algorithm, desc_of(x), desc_of(y),
        window.stride, window.kernel, window.dilation, window.padding, window.right, attributes());
    add_primitive(descriptor, dnnl::pooling_forward(descriptor),
                  {operand(DNNL_ARG_SRC, x), operand(DNNL_ARG_DST, y)}, what);
  }

  bool lower_max_pool(const Operation& operation, int64_t x, int64_t y) {
    Window window;
    for (std::size_t i = 0; i < 2; ++i) {
      window.kernel.push_back(number_at(operation.arguments[1], i));
      window.stride.push_back(number_at(operation.arguments[2], i, window.kernel[i]));
      window.padding.push_back(number_at(operation.arguments[3], i));
      window.dilation.push_back(number_at(operation.arguments[4], i) - 1);
      const int64_t reach = (value(y).sizes[2 + i] - 1) * window.stride[i] +
                            (window.kernel[i] - 1) * (window.dilation[i] + 1) + 1;
      window.right.push_back(reach - value(x).sizes[2 + i] - window.padding[i]);
    }
    const Slot from = dense(x);
    const Slot to = new_slot(y);
    add_pool(dnnl::algorithm::pooling_max, from, to, window, "max_pool2d");
    set_slot(y, to);
    return true;
  }

  bool lower_average_pool(const Operation& operation, int64_t x, int64_t y) {
    const auto& arguments = operation.arguments;
    if (arguments[4].constant.toBool() || !arguments[6].constant.isNone()) return false;
    Window window;
    for (std::size_t i = 0; i < 2; ++i) {
      window.kernel.push_back(number_at(arguments[1], i));
      window.stride.push_back(number_at(arguments[2], i, window.kernel[i]));
      window.padding.push_back(number_at(arguments[3], i));
      window.dilation.push_back(0);
    }
    window.right = window.padding;
    const Slot from = dense(x);
    const Slot to = new_slot(y);
    add_pool(arguments[5].constant.toBool() ? dnnl::algorithm::pooling_avg_include_padding
                                            : dnnl::algorithm::pooling_avg_exclude_padding,
             from, to, window, "avg_pool2d");
    set_slot(y, to);
    return true;
  }

  bool lower_adaptive_pool(int64_t x, int64_t y) {
    Window window;
    for (std::size_t i = 2; i < 4; ++i) {
      if (value(x).sizes[i] % value(y).sizes[i] != 0) return false;
      window.kernel.push_back(value(x).sizes[i] / value(y).sizes[i]);
    }
    window.stride = window.kernel;
    window.padding = window.right = window.dilation = {0, 0};
    const Slot from = dense(x);
    const Slot to = new_slot(y);
    add_pool(dnnl::algorithm::pooling_avg_exclude_padding, from, to, window, "adaptive_avg_pool2d");
    set_slot(y, to);
    return true;
  }

  /// mean(x, {2, 3}), of images.
  bool lower_mean(const Operation& operation, int64_t x, int64_t y) {
    if (operation.handle.operator_name().overload_name != "dim" || !is_float(x) ||
        value(x).sizes.size() != 4 || !operation.arguments[1].constant.isIntList() ||
        !operation.arguments[3].constant.isNone()) {
      return false;
    }
    auto dims = operation.arguments[1].constant.toIntVector();
    for (int64_t& dim : dims) dim += dim < 0 ? 4 : 0;
    std::sort(dims.begin(), dims.end());
    if (dims != std::vector<int64_t>{2, 3}) return false;
    const Window window{{value(x).sizes[2], value(x).sizes[3]}, {1, 1}, {0, 0}, {0, 0}, {0, 0}};
    const Slot from = dense(x);
    const std::vector<int64_t> pooled{from.sizes[0], from.sizes[1], 1, 1};
    Slot to = new_slot(pooled, channels_last_strides(pooled), dtype_);
    add_pool(dnnl::algorithm::pooling_avg_exclude_padding, from, to, window, "mean");
    to.sizes = value(y).sizes;
    to.strides = dense_strides(to.sizes);
    set_slot(y, to);
    return true;
  }

  bool lower_upsample(const Operation& operation, int64_t x, int64_t y, bool linear) {
    // Of corners aligned, oneDNN knows nothing; and only whole factors round as LibTorch's do.
    if (linear && operation.arguments[2].constant.toBool()) return false;
    for (std::size_t i = 2; i < 4; ++i) {
      if (value(y).sizes[i] % value(x).sizes[i] != 0) return false;
    }
    if (!scales_fit(operation, x, y)) return false;
    const Slot from = dense(x);
    const Slot to = new_slot(y);
    const dnnl::resampling_forward::primitive_desc descriptor(
        cpu_engine(), dnnl::prop_kind::forward_inference,
        linear ? dnnl::algorithm::resampling_linear : dnnl::algorithm::resampling_nearest,
        desc_of(from), desc_of(to), attributes());
    add_primitive(descriptor, dnnl::resampling_forward(descriptor),
                  {operand(DNNL_ARG_SRC, from), operand(DNNL_ARG_DST, to)}, plain_name(operation));
    set_slot(y, to);
    return true;
  }

  /// Scales that were given are those of the sizes.
  bool scales_fit(const Operation& operation, int64_t x, int64_t y) const {
    const auto fits = [&](double scale, std::size_t i) {
      return scale == static_cast<double>(value(y).sizes[i]) / static_cast<double>(value(x).sizes[i]);
    };
    std::vector<double> scales;
    for (const Argument& argument : operation.arguments) {
      if (argument.constant.isDouble()) scales.push_back(argument.constant.toDouble());
      if (argument.constant.isDoubleList()) scales = argument.constant.toDoubleVector();
    }
    return scales.empty() || (scales.size() == 2 && fits(scales[0], 2) && fits(scales[1], 3));
  }

  // Channel (c r + i) r + j of a position is pixel (i, j) of r x r: a transposition in memory.
  bool lower_shuffle(const Operation& operation, int64_t x, int64_t y) {
    const int64_t r = number_at(operation.arguments[1], 0);
    const Slot from = dense(x);
    const Slot to = new_slot(y);
    const int64_t c = to.sizes[1];
    const int64_t h = from.sizes[2];
    const int64_t w = from.sizes[3];
    const int64_t all = from.sizes[1];
    Slot source = from;
    source.sizes = {from.sizes[0], h, w, r, r, c};
    source.strides = {h * w * all, w * all, all, r, 1, r * r};
    Slot target = to;
    target.sizes = source.sizes;
    target.strides = {h * r * w * r * c, r * w * r * c, r * c, w * r * c, c, 1};
    add_copy(source, target, "pixel_shuffle");
    set_slot(y, to);
    return true;
  }

  bool lower_cat(const Operation& operation, int64_t y) {
    if (value(y).sizes.size() != 4 || number_at(operation.arguments[1], 0) != 1) return false;
    for (const int64_t id : operation.arguments[0].values) {
      if (!is_float(id) || is_constant(id) || value(id).sizes.size() != 4) return false;
    }
    std::vector<memory::desc> descs;
    std::vector<Operand> operands;
    for (const int64_t id : operation.arguments[0].values) {
      const Slot x = dense(id);
      descs.push_back(desc_of(x));
      operands.push_back(
          operand(DNNL_ARG_MULTIPLE_SRC + static_cast<int>(operands.size()), x));
    }
    const Slot to = new_slot(y);
    const dnnl::concat::primitive_desc descriptor(cpu_engine(), desc_of(to), 1, descs, attributes());
    operands.push_back(operand(DNNL_ARG_DST, to));
    add_primitive(descriptor, dnnl::concat(descriptor), std::move(operands), "cat");
    set_slot(y, to);
    return true;
  }

  bool lower_binary(const Operation& operation, const std::string& name, int64_t y) {
    const auto& arguments = operation.arguments;
    if (operation.handle.operator_name().overload_name != "Tensor") return false;
    if (name == "add" && arguments[2].constant.toScalar().toDouble() != 1) return false;
    int64_t a = arguments[0].values.at(0);
    int64_t b = arguments[1].values.at(0);
    if (a < 0 || b < 0 || !is_float(a) || !is_float(b)) return false;
    const auto& sizes = value(y).sizes;
    if (value(a).sizes != sizes) std::swap(a, b);
    if (value(a).sizes != sizes || is_constant(a)) return false;
    if (sizes.size() != 4 && value(b).sizes != sizes) return false;
    const Slot x = dense(a);
    Operand other;
    memory::desc other_desc;
    if (is_constant(b)) {
      torch::Tensor numbers = program_.constants.at(index(b));
      while (numbers.dim() < static_cast<int64_t>(sizes.size())) numbers = numbers.unsqueeze(0);
      const memory::dims dims = numbers.sizes().vec();
      const memory::desc plain(dims, memory::data_type::f32, row_strides(dims));
      other_desc = memory::desc(dims, type_of(dtype_), dense_strides(dims));
      other = operand(DNNL_ARG_SRC_1, packed(numbers.contiguous(), plain, other_desc));
    } else {
      if (value(b).sizes.size() != sizes.size()) return false;
      const Slot second = dense(b);
      other_desc = desc_of(second);
      other = operand(DNNL_ARG_SRC_1, second);
    }
    Slot to;
    const bool in_place = may_overwrite(x, x.strides) && other.buffer != x.buffer;
    to = in_place ? x : new_slot(y);
    const dnnl::binary::primitive_desc descriptor(
        cpu_engine(),
        name == "add" ? dnnl::algorithm::binary_add : dnnl::algorithm::binary_mul, desc_of(x),
        other_desc, desc_of(to), attributes());
    add_primitive(descriptor, dnnl::binary(descriptor),
                  {operand(DNNL_ARG_SRC_0, x), other, operand(DNNL_ARG_DST, to)}, name);
    set_slot(y, to);
    return true;
  }

  bool lower_eltwise(const Eltwise& eltwise, const std::string& name, int64_t x, int64_t y) {
    const Slot from = dense(x);
    const Slot to = may_overwrite(from, from.strides) ? from : new_slot(y);
    const dnnl::eltwise_forward::primitive_desc descriptor(
        cpu_engine(), dnnl::prop_kind::forward_inference, eltwise.algorithm, desc_of(from),
        desc_of(to), eltwise.alpha, eltwise.beta, attributes());
    add_primitive(descriptor, dnnl::eltwise_forward(descriptor),
                  {operand(DNNL_ARG_SRC, from), operand(DNNL_ARG_DST, to)}, name);
    set_slot(y, to);
    return true;
  }

  // ---- LibTorch's operators.

  /// An operator that only looks at its input's memory: nothing to run.
  bool lower_view(const Operation& operation) {
    if (operation.outputs.empty() || operation.arguments.empty()) return false;
    const Argument& first = operation.arguments[0];
    if (first.kind != Argument::Kind::kTensor || first.values[0] < 0 || is_constant(first.values[0])) {
      return false;
    }
    const Slot& from = slot(first.values[0]);
    if (buffer(from).kind == Buffer::Kind::kTensor || !is_float(first.values[0])) return false;
    // The same operator, on a tensor that is laid out as the value is.
    const torch::Tensor base =
        at::empty_strided(from.sizes, from.strides, torch::kFloat32).zero_();
    std::vector<torch::Tensor> values = program_.constants;
    values.at(index(first.values[0])) = base;
    for (const int64_t id : inputs_of(Step(operation))) {
      if (!values.at(index(id)).defined()) return false;  // it has several inputs
    }
    call(operation, values);
    for (const int64_t id : operation.outputs) {
      if (id < 0 || !values.at(index(id)).is_alias_of(base)) return false;
    }
    for (const int64_t id : operation.outputs) {
      const torch::Tensor& view = values.at(index(id));
      Slot result = slot_like(view, from.dtype);
      result.buffer = from.buffer;
      result.offset = from.offset + view.storage_offset();
      set_slot(id, result);
    }
    return true;
  }

  void lower_to_libtorch(const Step& step, const std::string& why) {
    StepCommand command{step, {}, {}};
    std::vector<torch::Tensor> values = program_.constants;
    for (const int64_t id : inputs_of(step)) {
      if (is_constant(id)) continue;
      const Slot place = as(id, slot(id).strides, value(id).dtype);
      command.inputs.emplace_back(id, place);
      // As it will be at run time: its layout decides on that of the results.
      torch::Tensor like = at::empty_strided(place.sizes, place.strides, place.dtype);
      values.at(index(id)) = like.copy_(values_.at(index(id)));
    }
    run_step(step, values);
    for (const int64_t id : outputs_of(step)) {
      const torch::Tensor& result = values.at(index(id));
      Slot place = slot_like(result, result.scalar_type());
      place.buffer = new_buffer(Buffer::Kind::kTensor, static_cast<int64_t>(result.nbytes()), id);
      command.outputs.emplace_back(id, place.strides);
      // What may be a view of an input keeps that one's memory from others.
      for (const auto& [input, from] : command.inputs) {
        if (result.is_alias_of(values.at(index(input)))) pinned_.push_back(from.buffer);
      }
      set_slot(id, place);
    }
    program_.commands.push_back({std::move(command), {}, describe(step) + "  (LibTorch" + why + ")"});
  }

  // ---- Results.

  void add_output(int64_t id) {
    const auto number = static_cast<int64_t>(program_.outputs.size());
    Program::Output output{id, {}, value(id).dtype};
    if (is_constant(id) || id < static_cast<int64_t>(plan_.input_count)) {
      program_.outputs.push_back(output);
      return;
    }
    const Slot& now = slot(id);
    std::vector<int64_t> strides = now.strides;
    if (memory_format_ && now.sizes.size() == 4) {
      strides = *memory_format_ == torch::MemoryFormat::ChannelsLast
                    ? channels_last_strides(now.sizes)
                    : row_strides(now.sizes);
    }
    const torch::Tensor like = at::empty_strided(now.sizes, strides, value(id).dtype);
    if (!like.is_non_overlapping_and_dense()) strides = dense_strides(now.sizes);
    Buffer& memory = buffer(now);
    const bool asked = strides != now.strides;
    if (memory.kind == Buffer::Kind::kTensor && (!asked || value(id).dtype != torch::kFloat32)) {
      output.slot = now;
      program_.outputs.push_back(output);
      return;
    }
    const int64_t bytes = count(now.sizes) * static_cast<int64_t>(c10::elementSize(now.dtype));
    const bool whole = memory.kind == Buffer::Kind::kArena && now.offset == 0 &&
                       memory.bytes == bytes && !asked && now.dtype == value(id).dtype;
    if (whole) {
      memory.kind = Buffer::Kind::kOutput;
      memory.index = number;
      output.slot = now;
    } else {
      output.slot = new_slot(now.sizes, strides, value(id).dtype);
      buffer(output.slot).kind = Buffer::Kind::kOutput;
      buffer(output.slot).index = number;
      add_copy(slot(id), output.slot, "result in the layout and type asked for");
    }
    program_.outputs.push_back(output);
  }

  void find_lifetimes() {
    const auto use = [&](int64_t id, std::size_t command) {
      if (id < 0) return;
      Buffer& memory = program_.buffers.at(index(id));
      memory.first = memory.used ? std::min(memory.first, command) : command;
      memory.last = memory.used ? std::max(memory.last, command) : command;
      memory.used = true;
    };
    for (std::size_t i = 0; i < program_.commands.size(); ++i) {
      const auto& what = program_.commands[i].what;
      if (const auto* primitive = std::get_if<PrimitiveCommand>(&what)) {
        for (const Operand& operand : primitive->operands) use(operand.buffer, i);
      } else if (const auto* step = std::get_if<StepCommand>(&what)) {
        for (const auto& [id, place] : step->inputs) use(place.buffer, i);
      } else {
        use(std::get<InterleaveCommand>(what).from.buffer, i);
        use(std::get<InterleaveCommand>(what).to.buffer, i);
      }
    }
    for (const int64_t id : pinned_) program_.buffers.at(index(id)).last = program_.commands.size();
  }

  const Plan& plan_;
  torch::Dtype dtype_;
  std::optional<torch::MemoryFormat> memory_format_;
  Program program_;
  std::size_t step_ = 0;
  std::vector<torch::Tensor> values_;               ///< as LibTorch computes them, on the example
  std::vector<std::optional<Slot>> slots_;          ///< of the values
  std::vector<std::vector<int64_t>> holders_;       ///< the values in each buffer
  std::vector<std::size_t> last_use_;               ///< of each value: a step
  std::map<std::tuple<int64_t, std::vector<int64_t>, torch::Dtype>, Slot> copies_;
  std::vector<int64_t> pinned_;
};

}  // namespace

dnnl::engine& cpu_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

std::vector<int64_t> channels_last_strides(const std::vector<int64_t>& sizes) {
  const int64_t c = sizes.at(1);
  return {c * sizes.at(2) * sizes.at(3), 1, sizes.at(3) * c, c};
}

Program make_program(const Plan& plan, const Tensors& example, torch::Dtype dtype,
                     std::optional<torch::MemoryFormat> memory_format) {
  return Lowering(plan, example, dtype, memory_format).lower();
}

}  // namespace convkit::detail

#endif
