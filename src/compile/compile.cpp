#include <convkit/compile.h>

#include "compile/engines/engine.h"
#include "watch/operators.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <sstream>
#include <thread>

namespace convkit {

namespace detail {

/// A parameter or buffer as it was when the plans were made.
class Source {
 public:
  explicit Source(torch::Tensor tensor) : tensor_(std::move(tensor)) { *this = now(); }

  [[nodiscard]] bool has_changed() const {
    const c10::TensorImpl* impl = tensor_.unsafeGetTensorImpl();
    return data_ != impl->data() || version_ != version() || samples_ != samples();
  }

 private:
  Source() = default;

  Source now() const {
    Source result;
    result.tensor_ = tensor_;
    result.data_ = tensor_.unsafeGetTensorImpl()->data();
    result.version_ = version();
    result.samples_ = samples();
    return result;
  }

  uint32_t version() const {
    if (tensor_.is_inference()) return 0;
    return tensor_.unsafeGetTensorImpl()->version_counter().current_version();
  }

  // LibTorch's optimizers, and batch norms in training mode, write past the version counters.
  std::array<int64_t, 4> samples() const {
    std::array<int64_t, 4> result{};
    const c10::TensorImpl* impl = tensor_.unsafeGetTensorImpl();
    const int64_t count = impl->numel();
    if (!tensor_.is_cpu() || count == 0) return result;
    const std::size_t size = std::min(impl->itemsize(), sizeof(int64_t));
    const auto* bytes = static_cast<const char*>(impl->data());
    for (int64_t i = 0; i < 4; ++i) {
      const auto element = static_cast<std::size_t>((count - 1) * i / 3);
      std::memcpy(&result.at(static_cast<std::size_t>(i)), bytes + element * impl->itemsize(),
                  size);
    }
    return result;
  }

  torch::Tensor tensor_;
  const void* data_ = nullptr;
  uint32_t version_ = 0;
  std::array<int64_t, 4> samples_{};
};

/// What a plan is made for.
struct Key {
  struct Input {
    std::vector<int64_t> sizes;
    bool channels_last = false;
    torch::Dtype dtype = torch::kFloat32;
    torch::Device device = torch::kCPU;
  };
  std::vector<Input> inputs;
  int threads = 0;

  explicit Key(const Tensors& tensors) : threads(at::get_num_threads()) {
    for (const torch::Tensor& tensor : tensors) {
      inputs.push_back(
          {tensor.sizes().vec(), !tensor.is_contiguous(), tensor.scalar_type(), tensor.device()});
    }
  }

  bool fits(const Tensors& tensors) const {
    if (tensors.size() != inputs.size() || threads != at::get_num_threads()) return false;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const torch::Tensor& tensor = tensors[i];
      const Input& input = inputs[i];
      if (tensor.sizes() != input.sizes || tensor.is_contiguous() == input.channels_last ||
          tensor.scalar_type() != input.dtype || tensor.device() != input.device) {
        return false;
      }
    }
    return true;
  }
};

namespace {

/// Lets CUDA round float32 to TF32, or not, while it lives: LibTorch has one setting for all.
class Tf32 {
 public:
  explicit Tf32(const std::optional<bool>& on) : is_set_(on.has_value()) {
    if (!is_set_) return;
    at::globalContext().setAllowTF32CuDNN(*on);
    at::globalContext().setAllowTF32CuBLAS(*on);
  }
  ~Tf32() {
    if (!is_set_) return;
    at::globalContext().setAllowTF32CuDNN(convolutions_);
    at::globalContext().setAllowTF32CuBLAS(products_);
  }
  Tf32(const Tf32&) = delete;
  Tf32& operator=(const Tf32&) = delete;

 private:
  bool is_set_;
  bool convolutions_ = is_set_ && at::globalContext().allowTF32CuDNN();
  bool products_ = is_set_ && at::globalContext().allowTF32CuBLAS();
};

Tensors copies(const Tensors& tensors) {
  Tensors results;
  for (const torch::Tensor& tensor : tensors) results.push_back(tensor.clone());
  return results;
}

/// The module itself.
class PlainEngine : public Engine {
 public:
  PlainEngine(Forward forward, std::string why)
      : forward_(std::move(forward)), why_(std::move(why)) {}

  Tensors run(const Tensors& inputs) override {
    return forward_(copies(inputs));  // it may write them
  }
  std::string text() const override { return "engine: the plain module: " + why_ + '\n'; }

 private:
  Forward forward_;
  std::string why_;
};

/// Of the same sizes, types and layouts, with other values; LibTorch's random state stays as it is.
Tensors other_values(const Tensors& inputs) {
  at::Generator generator = at::detail::createCPUGenerator(20'240'229);
  Tensors results;
  for (const torch::Tensor& input : inputs) {
    torch::Tensor values;
    if (input.is_floating_point() || input.is_complex()) {
      values = at::randn(input.sizes(), generator, input.options().device(torch::kCPU));
    } else {  // the same numbers in another order, since an index has to stay one
      const torch::Tensor order = at::randperm(input.numel(), generator, at::kLong);
      values = input.cpu().reshape(-1).index({order}).view(input.sizes());
    }
    results.push_back(at::empty_like(input).copy_(values));
  }
  return results;
}

void check_close(const Tensors& results, const Tensors& expected, double tolerance) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const torch::Tensor& y = expected[i];
    TORCH_CHECK(results[i].sizes() == y.sizes() && results[i].dtype() == y.dtype(),
                "compile: the plan gives ", results[i].sizes(), ", the module ", y.sizes());
    if (y.numel() == 0) continue;
    if (!y.is_floating_point()) {
      TORCH_CHECK(at::equal(results[i], y),
                  "compile: the plan gives other numbers than the module");
      continue;
    }
    const torch::Tensor exact = y.to(torch::kDouble);
    const double scale = exact.nan_to_num(0, 0, 0).abs().max().item<double>();
    TORCH_CHECK(at::allclose(results[i].to(torch::kDouble), exact, 0, tolerance * scale, true),
                "compile: the plan's result differs from the module's by ",
                (results[i].to(torch::kDouble) - exact).abs().max().item<double>(), " of ", scale);
  }
}

}  // namespace

class Compilation {
 public:
  Compilation(std::shared_ptr<torch::nn::Module> module, Forward forward, std::size_t count,
              CompileOptions options)
      : module_(std::move(module)), forward_(std::move(forward)), count_(count), options_(options) {
    TORCH_CHECK_TYPE(module_ != nullptr, "compile: expected a module, got none");
    TORCH_CHECK_TYPE(forward_ != nullptr, "compile: expected a forward, got none");
    TORCH_CHECK_VALUE(options.dtype == torch::kFloat32 || options.dtype == torch::kBFloat16 ||
                          options.dtype == torch::kHalf,
                      "compile: expected dtype to be Float, BFloat16 or, on CUDA, Half, got ",
                      c10::toString(options.dtype));
    TORCH_CHECK_VALUE(options.max_plans >= 1, "compile: expected max_plans >= 1, got ",
                      options.max_plans);
    TORCH_CHECK_VALUE(!options.memory_format ||
                          options.memory_format == torch::MemoryFormat::Contiguous ||
                          options.memory_format == torch::MemoryFormat::ChannelsLast,
                      "compile: expected memory_format to be Contiguous or ChannelsLast, got ",
                      *options.memory_format);
  }

  Tensors run(const Tensors& given) {
    const c10::InferenceMode no_inference(false);  // whose tensors could not be written later
    const torch::NoGradGuard no_grad;
    const Tf32 precision(options_.tf32);
    Tensors inputs;
    inputs.reserve(given.size());
    TORCH_CHECK_VALUE(given.size() == count_, "compile: expected ", count_,
                      count_ == 1 ? " input, got " : " inputs, got ", given.size());
    for (const torch::Tensor& input : given) {
      TORCH_CHECK_VALUE(input.defined(), "compile: expected a tensor, got an undefined one");
      TORCH_CHECK_VALUE(
          input.layout() == torch::kStrided && !input.is_meta() && !input.is_quantized(),
          "compile: expected ordinary (strided) tensors, got ", input.toString());
      const bool dense =
          input.is_contiguous() || input.is_contiguous(torch::MemoryFormat::ChannelsLast);
      inputs.push_back(dense ? input : input.contiguous());
    }
    Tensors outputs = is_observed() ? run_plain(inputs) : engine_for(inputs)->run(inputs);
    for (torch::Tensor& output : outputs) {  // also one that is an input, or the plain module's
      const bool image = options_.memory_format && output.dim() == 4;
      if (image) output = output.contiguous(*options_.memory_format);
    }
    return outputs;
  }

  void refresh() {
    const std::lock_guard lock(mutex_);
    plans_.clear();
  }

  std::string text() {
    const std::lock_guard lock(mutex_);
    std::ostringstream text;
    for (const Planned& plan : plans_) {
      text << "plan for";
      for (const Key::Input& input : plan.key.inputs) {
        text << ' ' << torch::IntArrayRef(input.sizes)
             << (input.channels_last ? " channels_last" : "");
      }
      text << ", " << plan.key.threads << (plan.key.threads == 1 ? " thread" : " threads") << '\n';
      for (const std::string& note : plan.notes) text << note << '\n';
      text << plan.engine->text();
    }
    return text.str();
  }

 private:
  struct Planned {
    Key key;
    std::shared_ptr<Engine> engine;
    std::vector<std::string> notes;
  };

  /// As a part of another module, whose operators are being looked at.
  Tensors run_plain(const Tensors& inputs) const {
    TORCH_CHECK(planner_ != std::this_thread::get_id(),
                "compile: the forward calls the compiled module itself");
    check_autocast();
    for (const auto& item : module_->named_modules()) check_eval(item.key(), *item.value());
    return forward_(options_.fallback ? copies(inputs) : inputs);
  }

  std::shared_ptr<Engine> engine_for(const Tensors& inputs) {
    const std::lock_guard lock(mutex_);
    check_autocast();
    if (!plans_.empty() && have_weights_changed()) plans_.clear();
    if (plans_.empty()) look_at_weights();
    for (const auto& [name, module] : modules_) check_eval(name, *module);
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      if (!plans_[i].key.fits(inputs)) continue;
      if (i > 0)
        std::rotate(plans_.begin(), plans_.begin() + static_cast<std::ptrdiff_t>(i),
                    plans_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      return plans_.front().engine;
    }
    Planned planned = make(inputs);
    if (static_cast<int64_t>(plans_.size()) >= options_.max_plans) plans_.pop_back();
    plans_.insert(plans_.begin(), std::move(planned));
    return plans_.front().engine;
  }

  void look_at_weights() {
    modules_.clear();
    for (const auto& item : module_->named_modules())
      modules_.emplace_back(item.key(), item.value());
    sources_.clear();
    for (const torch::Tensor& tensor : module_->parameters()) sources_.emplace_back(tensor);
    for (const torch::Tensor& tensor : module_->buffers()) sources_.emplace_back(tensor);
  }

  bool have_weights_changed() const {
    return std::any_of(sources_.begin(), sources_.end(),
                       [](const Source& source) { return source.has_changed(); });
  }

  Planned make(const Tensors& inputs) {
    const struct Planning {
      std::atomic<std::thread::id>& planner;
      explicit Planning(std::atomic<std::thread::id>& given) : planner(given) {
        planner = std::this_thread::get_id();
      }
      ~Planning() { planner = std::thread::id(); }
    } planning(planner_);
    Planned result{Key(inputs), nullptr, {}};
    if (!options_.fallback) {
      plan(inputs, result);
      return result;
    }
    try {
      plan(inputs, result);
    } catch (const c10::Error& error) {
      result.notes.clear();
      result.engine = std::make_shared<PlainEngine>(forward_, error.what_without_backtrace());
    }
    return result;
  }

  void plan(const Tensors& inputs, Planned& result) const {
    const Tensors others = other_values(inputs);
    Tensors expected;
    Tensors outputs;
    // Recorded on copies: a module that writes to its input is refused when it has done so.
    const Tape tape = record_tape(*module_, forward_, copies(inputs), &outputs);
    check_same(tape, record_tape(*module_, forward_, copies(others), &expected));
    // On CUDA, cuDNN may choose another algorithm the second time.
    const bool cuda = std::any_of(inputs.begin(), inputs.end(),
                                  [](const torch::Tensor& x) { return x.is_cuda(); });
    check_close(replay(tape, copies(others)), expected, cuda ? 1e-3 : 0);

    const std::optional<torch::Device> device = device_of_floats(inputs);
    const bool on_cpu = device && device->is_cpu();
    TORCH_CHECK_VALUE(options_.dtype == torch::kFloat32 ||
                          (device && (!on_cpu || options_.dtype == torch::kBFloat16)),
                      "compile: expected a module and inputs of Float",
                      options_.dtype == torch::kHalf ? " on CUDA" : "", ", to compute in ",
                      c10::toString(options_.dtype));
    // bfloat16 alone takes deep networks of random weights a tenth of the scale away.
    const double tolerance = options_.dtype == torch::kFloat32 ? 1e-3 : 0.25;
    const auto checked = [&](std::unique_ptr<Engine> engine) {
      check_close(engine->run(others), expected, tolerance);
      return engine;
    };
    const Plan plan = make_plan(tape, device.has_value());
    TORCH_CHECK(!plan.exact || options_.dtype == torch::kFloat32, "compile: cannot compute in ",
                c10::toString(options_.dtype), ": the forward calls as_strided");
    result.notes = plan.notes;
    const EngineOptions options{options_.dtype, options_.memory_format};
    if (has_onednn() && !plan.exact && device->is_cpu() && options_.onednn) {
      try {
        result.engine = checked(make_onednn_engine(plan, inputs, options));
        return;
      } catch (const c10::Error& error) {  // of an operator that it was tried with, too
        result.notes.push_back(std::string("not by oneDNN: ") + error.what_without_backtrace());
      }
    }
    auto engine = make_torch_engine(plan, options);
#ifdef CONVKIT_CUDA
    if (device && device->is_cuda()) engine = make_cuda_graph(std::move(engine), inputs);
#endif
    result.engine = checked(std::move(engine));
  }

  /// Of the module and the inputs, if all their floating point numbers are float32 on one CPU or
  /// CUDA device.
  std::optional<torch::Device> device_of_floats(const Tensors& inputs) const {
    const torch::Device device = inputs.empty() ? torch::kCPU : inputs.front().device();
    if (!device.is_cpu() && !device.is_cuda()) return std::nullopt;
    const auto fits = [&](const torch::Tensor& tensor) {
      return tensor.device() == device && !tensor.is_complex() &&
             (!tensor.is_floating_point() || tensor.dtype() == torch::kFloat32);
    };
    const Tensors parameters = module_->parameters();
    const Tensors buffers = module_->buffers();
    const bool all = std::all_of(inputs.begin(), inputs.end(), fits) &&
                     std::all_of(parameters.begin(), parameters.end(), fits) &&
                     std::all_of(buffers.begin(), buffers.end(), fits);
    return all ? std::optional(device) : std::nullopt;
  }

  std::shared_ptr<torch::nn::Module> module_;
  Forward forward_;
  std::size_t count_;  ///< of inputs
  CompileOptions options_;

  std::atomic<std::thread::id> planner_;  ///< the thread that plans
  std::mutex mutex_;
  std::vector<Planned> plans_;  ///< the one used last comes first
  std::vector<std::pair<std::string, std::shared_ptr<torch::nn::Module>>> modules_;
  std::vector<Source> sources_;
};

}  // namespace detail

Compiled::Compiled(std::shared_ptr<detail::Compilation> compilation)
    : compilation_(std::move(compilation)) {}

torch::Tensor Compiled::operator()(const torch::Tensor& input) const {
  Tensors outputs = compilation_->run({input});
  TORCH_CHECK(outputs.size() == 1, "compile: expected a forward with one result, got ",
              outputs.size(), ": call it with a vector of inputs");
  return std::move(outputs.front());
}

Compiled::Tensors Compiled::operator()(const Tensors& inputs) const {
  return compilation_->run(inputs);
}

void Compiled::refresh() const {
  compilation_->refresh();
}

Compiled compile(std::shared_ptr<torch::nn::Module> module, const torch::Tensor& example,
                 const CompileOptions& options) {
  TORCH_CHECK_TYPE(module != nullptr, "compile: expected a module, got none");
  torch::nn::Module* const raw = module.get();
  auto forward = [raw](const Compiled::Tensors& inputs) {
    return Compiled::Tensors{forward_child(*raw, inputs.front())};
  };
  return compile(std::move(module), std::move(forward), {example}, options);
}

Compiled compile(std::shared_ptr<torch::nn::Module> module,
                 std::function<Compiled::Tensors(const Compiled::Tensors&)> forward,
                 const Compiled::Tensors& examples, const CompileOptions& options) {
  Compiled result(std::make_shared<detail::Compilation>(std::move(module), std::move(forward),
                                                        examples.size(), options));
  result(examples);
  return result;
}

std::string explain(const Compiled& compiled) {
  return compiled.compilation_->text();
}

}  // namespace convkit
