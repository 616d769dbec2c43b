#include "compile/onednn/lowering.h"

#include "compile/onednn/lower_affine.h"
#include "compile/onednn/lower_convolution.h"
#include "compile/onednn/lower_elementwise.h"
#include "compile/onednn/lower_norm.h"
#include "compile/onednn/lower_pool.h"
#include "compile/onednn/lower_resample.h"
#include "compile/onednn/lower_softmax.h"
#include "compile/onednn/lower_torch.h"
#include "compile/onednn/lower_view.h"
#include "compile/onednn/lower_volume.h"
#include "compile/plan/step_macs.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <map>
#include <new>
#include <set>
#include <string_view>
#include <utility>

namespace convkit::detail {

namespace {

using LowerOperation = bool (*)(Lowering&, const Operation&);

/// The operators that oneDNN may compute, by their plain names. Others are activations, views, or
/// LibTorch's.
LowerOperation find_lowering(std::string_view name) {
  static const std::map<std::string_view, LowerOperation> table = {
      {"max_pool2d", lower_max_pool},
      {"avg_pool2d", lower_average_pool},
      {"adaptive_avg_pool2d", lower_adaptive_pool},
      {"mean", lower_mean},
      {"upsample_nearest2d", lower_nearest},
      {"_upsample_nearest_exact2d", lower_nearest},
      {"upsample_bilinear2d", lower_bilinear},
      {"pixel_shuffle", lower_pixel_shuffle},
      {"cat", lower_cat},
      {"conv3d", lower_volume},
      {"add", lower_binary},
      {"mul", lower_binary},
      {"sub", lower_binary},
      {"prelu", lower_prelu},
      {"softmax", lower_softmax},
      {"_softmax", lower_softmax},
      {"log_softmax", lower_softmax},
      {"_log_softmax", lower_softmax},
      {"layer_norm", lower_layer_norm},
  };
  const auto found = table.find(name);
  return found == table.end() ? lower_activation : found->second;
}

bool lower_operation(Lowering& lowering, const Operation& operation) {
  const bool one = operation.outputs.size() == 1 && operation.outputs[0] >= 0;
  const auto& arguments = operation.arguments;
  const bool takes_tensor =
      !arguments.empty() && !arguments[0].values.empty() && arguments[0].values[0] >= 0;
  if (one && takes_tensor && element_count(lowering.sizes(operation.outputs[0])) > 0) {
    if (find_lowering(plain_name(operation))(lowering, operation)) return true;
  }
  return lower_view(lowering, operation);
}

/// To be called where an exception was caught: throws it on if memory has run out.
void rethrow_out_of_memory() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) throw;
  } catch (const std::exception&) {
    return;  // no matter of memory
  }
}

}  // namespace

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr result;
  result.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return result;
}

Lowering::Lowering(const Graph& plan, const Tensors& example, const EngineOptions& options)
    : plan_(plan),
      options_(options),
      threads_(at::get_num_threads()),
      memory_(plan, example, options.dtype),
      shared_(options.pool) {
  program_.constants.resize(plan.values.size());
  for (std::size_t i = 0; i < plan.values.size(); ++i) {
    const Value& value = plan.values[i];
    if (value.kind == Value::Kind::kConstant) program_.constants[i] = value.tensor;
  }
}

Program Lowering::lower() {
  const auto last = plan_.last_uses();
  while (done_ < plan_.steps.size()) {
    step_ = done_++;
    shared_.begin_step();
    const Step& step = plan_.steps[step_];
    std::string why;
    if (!try_to_lower(step, &why)) {
      lower_to_torch(*this, step, why.empty() ? std::exchange(why_, "") : why);
    }
    add_drops(last);
  }
  for (const int64_t id : plan_.outputs) add_output(id);
  count_weights();
  drop_unused_constants();
  memory_.place_buffers(program_);
  return std::move(program_);
}

// ---- Places.

Slot Lowering::as(int64_t id, const Sizes& strides, torch::Dtype dtype) {
  const Slot now = memory_.slot(id);
  if (now.dtype == dtype && same_layout(now.sizes, now.strides, strides)) {
    Slot result = now;
    result.strides = strides;
    return result;
  }
  const Sizes layout = dense_or_rows(now.sizes, strides);
  if (const Slot* known = memory_.copy_of(id, layout, dtype)) return *known;
  const Slot copy = memory_.new_slot(now.sizes, layout, dtype);
  add_copy(now, copy, dtype == now.dtype ? "to another layout" : "to another type");
  if (plan_.is_pure(id)) memory_.keep_copy(id, copy);
  return copy;
}

Slot Lowering::dense(int64_t id) {
  return as(id, computing_strides(memory_.slot(id).sizes), memory_.dtype());
}

// ---- Commands.

Operand Lowering::operand(int name, const Slot& place, const Desc& desc) {
  Operand result;
  result.name = name;
  result.desc = desc;
  result.buffer = place.buffer;
  result.offset = place.offset * static_cast<int64_t>(c10::elementSize(place.dtype));
  return result;
}

Operand Lowering::operand(int name, PackedConstant constant) {
  Operand result;
  result.name = name;
  result.desc = constant.memory.get_desc();
  result.constant = std::move(constant.memory);
  result.bytes = std::move(constant.bytes);
  return result;
}

StepExplanation Lowering::explanation_of(const Step& step, const Slot& result) {
  StepExplanation explanation = explanation_of(describe(step), result);
  explanation.fused = fused_in(step);
  if (const auto* convolution = std::get_if<Convolution>(&step)) {
    explanation.macs = macs_of(*convolution, result.sizes);
  }
  return explanation;
}

StepExplanation Lowering::explanation_of(std::string what, const Slot& result) {
  StepExplanation explanation;
  explanation.what = std::move(what);
  explanation.by = "oneDNN";
  explanation.bytes = bytes_of(result);
  return explanation;
}

void Lowering::add_primitive(const dnnl::primitive& primitive, const Desc& scratchpad,
                             std::vector<Operand> operands, StepExplanation explanation) {
  for (Operand& operand : operands) shared_.share(operand);
  if (scratchpad.get_size() > 0) {
    Operand last;
    last.name = DNNL_ARG_SCRATCHPAD;
    last.desc = scratchpad;
    operands.push_back(last);
    program_.scratchpad_bytes = std::max(program_.scratchpad_bytes, scratchpad.get_size());
  }
  add_command(PrimitiveCommand{primitive, std::move(operands)}, std::move(explanation));
}

void Lowering::add_copy(const Slot& from, const Slot& to, const std::string& what) {
  if (add_transposition(from, to, what)) return;
  StepExplanation explanation = explanation_of(what, to);
  try {
    const dnnl::reorder::primitive_desc descriptor(cpu_engine(), desc_of(from), cpu_engine(),
                                                   desc_of(to), attributes());
    add_primitive(descriptor, dnnl::reorder(descriptor),
                  {operand(DNNL_ARG_FROM, from), operand(DNNL_ARG_TO, to)}, explanation);
  } catch (const std::exception& error) {  // of elements that overlap, of types that oneDNN lacks
    rethrow_out_of_memory();
    explanation.by = "LibTorch";
    explanation.how = error.what();
    add_command(CopyCommand{from, to}, std::move(explanation));
  }
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
  Sizes rows = row_strides(from.sizes);
  const Sizes last = channels_last_strides(from.sizes);
  TransposeCommand command{from, to, {images, channels, positions, channels}};
  if (same_layout(from.sizes, from.strides, last)) {
    if (images == 1 && channels > 1) rows[1] = to.strides[1];  // may be part of a larger image
    if (!same_layout(to.sizes, to.strides, rows)) return false;
    command.what = {images, positions, channels, rows[1]};
  } else if (!same_layout(from.sizes, from.strides, rows) ||
             !same_layout(to.sizes, to.strides, last)) {
    return false;
  }
  StepExplanation explanation = explanation_of(what, to);
  explanation.by = "convkit";
  explanation.how = "own loop";
  add_command(std::move(command), std::move(explanation));
  return true;
}

// ---- Steps.

bool Lowering::try_to_lower(const Step& step, std::string* why) {
  const std::size_t commands = program_.commands.size();
  const std::size_t copies = memory_.copy_count();
  try {
    for (const int64_t id : outputs_of(step)) {
      if (!is_float(id) || !plan_.is_pure(id)) return false;
    }
    if (const auto* convolution = std::get_if<Convolution>(&step)) {
      return lower_convolution(*this, *convolution);
    }
    if (const auto* norm = std::get_if<ChannelNorm>(&step)) return lower_norm(*this, *norm);
    if (const auto* affine = std::get_if<Affine>(&step)) return lower_affine(*this, *affine);
    if (const auto* padded = std::get_if<PaddedPool>(&step)) return lower_padded(*this, *padded);
    if (const auto* copy = std::get_if<Copy>(&step)) return lower_layout(*this, *copy);
    return lower_operation(*this, std::get<Operation>(step));
  } catch (const std::exception& error) {
    rethrow_out_of_memory();
    const auto* of_torch = dynamic_cast<const c10::Error*>(&error);
    *why = std::string("since oneDNN says: ") +
           (of_torch != nullptr ? of_torch->what_without_backtrace() : error.what());
    program_.commands.resize(commands);
    memory_.forget_copies_after(copies);
    done_ = step_ + 1;
    return false;
  }
}

void Lowering::clear_values(const Step& step) {
  const auto clear = [&](int64_t id) {
    if (!is_constant(id)) program_.constants.at(static_cast<std::size_t>(id)) = torch::Tensor();
  };
  for (const int64_t id : inputs_of(step)) clear(id);
  for (const int64_t id : outputs_of(step)) clear(id);
}

/// The values that LibTorch made, and that the steps lowered last used for the last time.
void Lowering::add_drops(const std::vector<std::vector<int64_t>>& last) {
  for (std::size_t i = step_; i < done_; ++i) {
    for (const int64_t id : last[i]) {
      const bool tensor =
          memory_.has_slot(id) && memory_.buffer(memory_.slot(id)).kind == Buffer::Kind::kTensor;
      if (tensor) program_.commands.back().drops.push_back(id);
    }
  }
}

// ---- Results.

void Lowering::add_output(int64_t id) {
  const auto number = static_cast<int64_t>(program_.outputs.size());
  const torch::Dtype dtype = value(id).dtype;
  Program::Output& output = program_.outputs.emplace_back(Program::Output{id, {}, dtype});
  if (is_constant(id) || id < static_cast<int64_t>(plan_.input_count)) return;
  const Slot now = memory_.slot(id);
  const bool image = now.sizes.size() == 4;
  Sizes strides = image ? now.strides : dense_or_rows(now.sizes, value(id).strides);
  if (options_.memory_format && image) {
    strides = *options_.memory_format == torch::MemoryFormat::ChannelsLast
                  ? channels_last_strides(now.sizes)
                  : row_strides(now.sizes);
  }
  const torch::Tensor like = at::empty_strided(now.sizes, strides, dtype);
  if (!like.is_non_overlapping_and_dense()) strides = computing_strides(now.sizes);
  Buffer& memory = memory_.buffer(now);
  const bool asked = !same_layout(now.sizes, strides, now.strides);
  if (memory.kind == Buffer::Kind::kTensor && (!asked || dtype != torch::kFloat32)) {
    output.slot = now;
    return;
  }
  const bool whole = memory.kind == Buffer::Kind::kArena && now.offset == 0 &&
                     memory.bytes == bytes_of(now) && !asked && now.dtype == dtype;
  if (whole) {
    memory.kind = Buffer::Kind::kOutput;
    memory.index = number;
    output.slot = now;
    output.slot.strides = strides;
  } else {
    output.slot = memory_.new_slot(now.sizes, strides, dtype);
    memory_.buffer(output.slot).kind = Buffer::Kind::kOutput;
    memory_.buffer(output.slot).index = number;
    add_copy(now, output.slot, "result in the layout and type asked for");
  }
}

void Lowering::count_weights() {
  std::set<const void*> weights;
  const auto count = [&](const Operand& operand) {
    if (operand.bytes && weights.insert(operand.bytes.data()).second) {
      program_.weight_bytes += operand.desc.get_size();
    }
  };
  for (const Command& command : program_.commands) {
    if (const auto* primitive = std::get_if<PrimitiveCommand>(&command.what)) {
      for (const Operand& operand : primitive->operands) count(operand);
    } else if (const auto* winograd = std::get_if<WinogradCommand>(&command.what)) {
      count(winograd->weight);
      count(winograd->bias);
    } else if (const auto* planar = std::get_if<PlanarCommand>(&command.what)) {
      for (const auto* operand :
           {&planar->taps, &planar->taps_bias, &planar->weight, &planar->bias}) {
        count(*operand);
      }
    }
  }
}

/// Primitives have constants of their own: those remain that LibTorch's operators take, or that are results.
void Lowering::drop_unused_constants() {
  std::set<int64_t> used(plan_.outputs.begin(), plan_.outputs.end());
  for (const Command& command : program_.commands) {
    if (const auto* step = std::get_if<StepCommand>(&command.what)) {
      for (const int64_t id : inputs_of(step->step)) used.insert(id);
    }
  }
  for (std::size_t i = 0; i < program_.constants.size(); ++i) {
    if (!used.contains(static_cast<int64_t>(i))) program_.constants[i] = torch::Tensor();
  }
}

Program make_program(const Graph& plan, const Tensors& example, const EngineOptions& options) {
  return Lowering(plan, example, options).lower();
}

}  // namespace convkit::detail
