#include "compile/onednn/lowering.h"

#include <ATen/Parallel.h>

#include <algorithm>

namespace convkit::detail {

using dnnl::memory;

namespace {

Slot slot_like(const torch::Tensor& tensor, torch::Dtype dtype) {
  Slot result;
  result.sizes = tensor.sizes().vec();
  result.strides = tensor.strides().vec();
  result.dtype = dtype;
  return result;
}

/// Whether the schema says that the result shares the first argument's memory, or may.
bool is_view(const Operation& operation) {
  const auto& schema = operation.handle.schema();
  const auto* argument = schema.arguments().at(0).alias_info();
  return argument != nullptr && !argument->isWrite() && !schema.returns().empty() &&
         schema.returns()[0].alias_info() != nullptr;
}

}  // namespace

dnnl::engine& cpu_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

memory::data_type type_of(torch::Dtype dtype) {
  TORCH_CHECK(dtype == torch::kFloat32 || dtype == torch::kBFloat16, "compile: no oneDNN type");
  return dtype == torch::kFloat32 ? memory::data_type::f32 : memory::data_type::bf16;
}

int64_t bytes_of(const Slot& slot) {
  return element_count(slot.sizes) * static_cast<int64_t>(c10::elementSize(slot.dtype));
}

memory::desc desc_of(const Slot& slot) {
  return {slot.sizes, type_of(slot.dtype), slot.strides};
}

memory packed(const torch::Tensor& tensor, const memory::desc& from, const memory::desc& to) {
  memory source(from, cpu_engine(), tensor.data_ptr());
  memory result(to, cpu_engine());
  dnnl::stream stream(cpu_engine());
  dnnl::reorder(source, result).execute(stream, source, result);
  stream.wait();
  return result;
}

memory vector_of(const torch::Tensor& tensor) {
  const torch::Tensor numbers = tensor.to(torch::kFloat32).contiguous();
  const memory::desc desc({numbers.numel()}, memory::data_type::f32, memory::format_tag::a);
  return packed(numbers, desc, desc);
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr result;
  result.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return result;
}

Lowering::Lowering(const Plan& plan, const Tensors& example, const EngineOptions& options)
    : plan_(plan),
      dtype_(options.dtype),
      memory_format_(options.memory_format),
      threads_(at::get_num_threads()),
      slots_(plan.values.size()),
      last_use_(plan.values.size()),
      uses_(plan.values.size()) {
  program_.constants.resize(plan.values.size());
  for (std::size_t i = 0; i < plan.values.size(); ++i) {
    if (plan.values[i].kind == Value::Kind::kConstant)
      program_.constants[i] = plan.values[i].tensor;
  }
  for (std::size_t i = 0; i < example.size(); ++i) {
    Slot slot = slot_like(example[i], example[i].scalar_type());
    slot.buffer = new_buffer(Buffer::Kind::kInput, 0, static_cast<int64_t>(i));
    set_slot(static_cast<int64_t>(i), slot);
  }
  const auto last = last_uses(plan_);
  for (std::size_t i = 0; i < last.size(); ++i) {
    for (const int64_t id : last[i]) last_use_.at(index(id)) = i;
    for (const int64_t id : inputs_of(plan_.steps[i])) ++uses_.at(index(id));
  }
  for (const int64_t id : plan_.outputs) {
    last_use_.at(index(id)) = plan_.steps.size();
    ++uses_.at(index(id));
  }
}

Program Lowering::lower() {
  const auto last = last_uses(plan_);
  while (done_ < plan_.steps.size()) {
    step_ = done_++;
    const Step& step = plan_.steps[step_];
    std::string why;
    if (!try_to_lower(step, &why)) lower_to_libtorch(step, why);
    for (std::size_t i = step_; i < done_; ++i) {
      for (const int64_t id : last[i]) {
        const auto& place = slots_.at(index(id));
        if (place && buffer(*place).kind == Buffer::Kind::kTensor) {
          program_.commands.back().drops.push_back(id);
        }
      }
    }
  }
  for (const int64_t id : plan_.outputs) add_output(id);
  find_lifetimes();
  return std::move(program_);
}

bool Lowering::is_output_alone(int64_t id) const {
  const auto found = std::find(plan_.outputs.begin(), plan_.outputs.end(), id);
  return found != plan_.outputs.end() && uses_.at(index(id)) == 1;
}

// ---- Places.

int64_t Lowering::new_buffer(Buffer::Kind kind, int64_t bytes, int64_t of) {
  Buffer next;
  next.kind = kind;
  next.bytes = bytes;
  next.index = of;
  program_.buffers.push_back(next);
  holders_.emplace_back();
  return static_cast<int64_t>(program_.buffers.size()) - 1;
}

void Lowering::set_slot(int64_t id, const Slot& place) {
  slots_.at(index(id)) = place;
  holders_.at(index(place.buffer)).push_back(id);
}

Slot Lowering::new_slot(std::vector<int64_t> sizes, std::vector<int64_t> strides,
                        torch::Dtype dtype) {
  TORCH_CHECK(dense_or_rows(sizes, strides) == strides, "compile: no memory for strides with gaps");
  Slot result;
  result.sizes = std::move(sizes);
  result.strides = std::move(strides);
  result.dtype = dtype;
  result.buffer = new_buffer(Buffer::Kind::kArena, bytes_of(result));
  return result;
}

Slot Lowering::new_slot(int64_t id) {
  return new_slot(value(id).sizes, computing_strides(value(id).sizes), dtype_);
}

Slot Lowering::as(int64_t id, const std::vector<int64_t>& strides, torch::Dtype dtype) {
  const Slot& now = slot(id);
  if (now.dtype == dtype && same_layout(now.sizes, now.strides, strides)) {
    Slot result = now;
    result.strides = strides;
    return result;
  }
  const auto layout = dense_or_rows(now.sizes, strides);
  const auto key = std::make_tuple(id, layout, dtype);
  const auto known = copies_.find(key);
  if (known != copies_.end()) return known->second;
  const Slot copy = new_slot(now.sizes, layout, dtype);
  add_copy(now, copy, dtype == now.dtype ? "to another layout" : "to another type");
  if (!plan_.overwritten.contains(id)) copies_.emplace(key, copy);
  return copy;
}

Slot Lowering::dense(int64_t id) {
  return as(id, computing_strides(slot(id).sizes), dtype_);
}

bool Lowering::may_overwrite(const Slot& place, const std::vector<int64_t>& strides) {
  const Buffer& memory = buffer(place);
  if (memory.kind != Buffer::Kind::kArena || place.offset != 0 || memory.bytes != bytes_of(place) ||
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

// ---- Commands.

Operand Lowering::operand(int name, const Slot& place) {
  return operand(name, place, desc_of(place));
}

Operand Lowering::operand(int name, const Slot& place, const Desc& desc) {
  Operand result;
  result.name = name;
  result.desc = desc;
  result.buffer = place.buffer;
  result.offset = place.offset * static_cast<int64_t>(c10::elementSize(place.dtype));
  return result;
}

Operand Lowering::operand(int name, memory constant) {
  Operand result;
  result.name = name;
  result.desc = constant.get_desc();
  result.constant = std::move(constant);
  return result;
}

void Lowering::add_primitive(const dnnl::primitive& primitive, const Desc& scratchpad,
                             std::vector<Operand> operands, std::string text) {
  if (scratchpad.get_size() > 0) {
    Operand last;
    last.name = DNNL_ARG_SCRATCHPAD;
    last.desc = scratchpad;
    operands.push_back(last);
    program_.scratchpad_bytes = std::max(program_.scratchpad_bytes, scratchpad.get_size());
  }
  program_.commands.push_back(
      {PrimitiveCommand{primitive, std::move(operands)}, {}, std::move(text)});
}

void Lowering::add_copy(const Slot& from, const Slot& to, const std::string& what) {
  if (add_transposition(from, to, what)) return;
  const dnnl::reorder::primitive_desc descriptor(cpu_engine(), desc_of(from), cpu_engine(),
                                                 desc_of(to), attributes());
  add_primitive(descriptor, dnnl::reorder(descriptor),
                {operand(DNNL_ARG_FROM, from), operand(DNNL_ARG_TO, to)}, what);
  if (what.empty()) program_.commands.back().text.clear();
}

/// [N, C, H, W] to channels_last or back, by a loop of our own where it is the faster one.
bool Lowering::add_transposition(const Slot& from, const Slot& to, const std::string& what) {
  if (from.sizes.size() != 4 || from.dtype != torch::kFloat32 || to.dtype != torch::kFloat32) {
    return false;
  }
  const int64_t channels = from.sizes[1];
  const int64_t positions = from.sizes[2] * from.sizes[3];
  if (channels > 4 && !transposes_on(threads_)) return false;  // oneDNN's reorder uses them all
  const int64_t images = from.sizes[0];
  std::vector<int64_t> rows = row_strides(from.sizes);
  const auto last = channels_last_strides(from.sizes);
  TransposeCommand command{from, to, {images, channels, positions, channels}};
  if (same_layout(from.sizes, from.strides, last)) {
    if (images == 1 && channels > 1) rows[1] = to.strides[1];  // may be part of a larger image
    if (!same_layout(to.sizes, to.strides, rows)) return false;
    command.what = {images, positions, channels, rows[1]};
  } else if (!same_layout(from.sizes, from.strides, rows) ||
             !same_layout(to.sizes, to.strides, last)) {
    return false;
  }
  program_.commands.push_back({command, {}, what.empty() ? what : what + "  (own loop)"});
  return true;
}

// ---- Steps.

bool Lowering::try_to_lower(const Step& step, std::string* why) {
  const std::size_t commands = program_.commands.size();
  const auto copies = copies_;
  try {
    for (const int64_t id : outputs_of(step)) {
      if (!is_float(id) || plan_.overwritten.contains(id)) return false;
    }
    if (const auto* convolution = std::get_if<Convolution>(&step)) return lower(*convolution);
    if (const auto* norm = std::get_if<ChannelNorm>(&step)) return lower(*norm);
    return lower_operation(std::get<Operation>(step));
  } catch (const dnnl::error& error) {
    *why = std::string(": oneDNN: ") + error.what();
    program_.commands.resize(commands);
    copies_ = copies;
    done_ = step_ + 1;
    return false;
  }
}

bool Lowering::lower_operation(const Operation& operation) {
  if (operation.outputs.size() == 1) {
    const std::string name = plain_name(operation);
    const bool first = !operation.arguments.empty() && !operation.arguments[0].values.empty() &&
                       operation.arguments[0].values[0] >= 0;
    if (first && lower_named(operation, name)) return true;
  }
  return lower_view(operation);
}

bool Lowering::lower_named(const Operation& operation, const std::string& name) {
  const int64_t x = operation.arguments[0].values[0];
  const int64_t y = operation.outputs[0];
  const bool image = value(x).sizes.size() == 4 && value(y).sizes.size() == 4 && is_float(x);
  if (element_count(value(y).sizes) == 0) return false;
  if (name == "max_pool2d" && image) return lower_max_pool(operation, x, y);
  if (name == "avg_pool2d" && image) return lower_average_pool(operation, x, y);
  if (name == "adaptive_avg_pool2d" && image) return lower_adaptive_pool(x, y);
  if (name == "mean") return lower_mean(operation, x, y);
  if (name == "upsample_nearest2d" && image) return lower_upsample(operation, x, y, false);
  if (name == "_upsample_nearest_exact2d" && image) return lower_upsample(operation, x, y, false);
  if (name == "upsample_bilinear2d" && image) return lower_upsample(operation, x, y, true);
  if (name == "pixel_shuffle" && image) return lower_shuffle(operation, x, y);
  if (name == "cat") return lower_cat(operation, y);
  if (name == "add" || name == "mul") return lower_binary(operation, name, y);
  return is_float(x) && !is_constant(x) && lower_eltwise(operation, name, x, y);
}

/// An operator that only looks at its input's memory: nothing to run.
bool Lowering::lower_view(const Operation& operation) {
  if (operation.outputs.empty() || operation.arguments.empty() || !is_view(operation)) return false;
  const Argument& first = operation.arguments[0];
  if (first.kind != Argument::Kind::kTensor || first.values[0] < 0 ||
      is_constant(first.values[0])) {
    return false;
  }
  const Slot& from = slot(first.values[0]);
  if (buffer(from).kind == Buffer::Kind::kTensor || !is_float(first.values[0])) return false;
  // The same operator, on a tensor that is laid out as the value is.
  const torch::Tensor base = at::empty_strided(from.sizes, from.strides, torch::kFloat32);
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

/// It is run once, on ones: that tells how it lays out its results, and of which inputs they are
/// views.
void Lowering::lower_to_libtorch(const Step& step, const std::string& why) {
  StepCommand command{step, {}, {}};
  const bool raw = is_raw(plan_, step);
  std::vector<torch::Tensor> values = program_.constants;
  for (const int64_t id : inputs_of(step)) {
    if (is_constant(id)) continue;
    const bool as_recorded = raw && !plan_.overwritten.contains(id);
    const Slot place = as(id, as_recorded ? value(id).strides : slot(id).strides, value(id).dtype);
    command.inputs.emplace_back(id, place);
    values.at(index(id)) = at::empty_strided(place.sizes, place.strides, place.dtype)
                               .fill_(c10::isFloatingType(place.dtype) ? 1 : 0);  // 0 is an index
  }
  run_step(step, values);
  for (const int64_t id : outputs_of(step)) {
    const torch::Tensor& result = values.at(index(id));
    Slot place = slot_like(result, result.scalar_type());
    place.buffer = new_buffer(Buffer::Kind::kTensor, static_cast<int64_t>(result.nbytes()), id);
    command.outputs.emplace_back(id, place);
    // What may be a view of an input keeps that one's memory from others.
    for (const auto& [input, from] : command.inputs) {
      if (result.is_alias_of(values.at(index(input)))) pinned_.push_back(from.buffer);
    }
    set_slot(id, place);
  }
  program_.commands.push_back({std::move(command), {}, describe(step) + "  (LibTorch" + why + ")"});
}

// ---- Results.

void Lowering::add_output(int64_t id) {
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
  if (!like.is_non_overlapping_and_dense()) strides = computing_strides(now.sizes);
  Buffer& memory = buffer(now);
  const bool asked = !same_layout(now.sizes, strides, now.strides);
  if (memory.kind == Buffer::Kind::kTensor && (!asked || value(id).dtype != torch::kFloat32)) {
    output.slot = now;
    program_.outputs.push_back(output);
    return;
  }
  const bool whole = memory.kind == Buffer::Kind::kArena && now.offset == 0 &&
                     memory.bytes == bytes_of(now) && !asked && now.dtype == value(id).dtype;
  if (whole) {
    memory.kind = Buffer::Kind::kOutput;
    memory.index = number;
    output.slot = now;
    output.slot.strides = strides;
  } else {
    output.slot = new_slot(now.sizes, strides, value(id).dtype);
    buffer(output.slot).kind = Buffer::Kind::kOutput;
    buffer(output.slot).index = number;
    add_copy(slot(id), output.slot, "result in the layout and type asked for");
  }
  program_.outputs.push_back(output);
}

void Lowering::find_lifetimes() {
  const auto use = [&](int64_t id, std::size_t command) {
    if (id < 0) return;
    Buffer& memory = program_.buffers.at(index(id));
    memory.first = memory.used ? std::min(memory.first, command) : command;
    memory.last = memory.used ? std::max(memory.last, command) : command;
    memory.used = true;
  };
  std::set<dnnl_memory_t> weights;
  for (std::size_t i = 0; i < program_.commands.size(); ++i) {
    const auto& what = program_.commands[i].what;
    if (const auto* primitive = std::get_if<PrimitiveCommand>(&what)) {
      for (const Operand& operand : primitive->operands) {
        use(operand.buffer, i);
        const bool constant = operand.buffer < 0 && operand.name != DNNL_ARG_SCRATCHPAD;
        if (constant && weights.insert(operand.constant.get()).second) {
          program_.weight_bytes += operand.desc.get_size();
        }
      }
    } else if (const auto* step = std::get_if<StepCommand>(&what)) {
      for (const auto& [id, place] : step->inputs) use(place.buffer, i);
    } else {
      use(std::get<TransposeCommand>(what).from.buffer, i);
      use(std::get<TransposeCommand>(what).to.buffer, i);
    }
  }
  for (const int64_t id : pinned_) program_.buffers.at(index(id)).last = program_.commands.size();
}

Program make_program(const Plan& plan, const Tensors& example, const EngineOptions& options) {
  return Lowering(plan, example, options).lower();
}

}  // namespace convkit::detail
