#include <convkit/compile.h>

#include "compile/accurate.h"
#include "compile/checks.h"
#include "compile/engines/engine.h"
#include "compile/engines/plain.h"
#include "compile/engines/tf32.h"
#include "compile/engines/torch.h"
#include "compile/key.h"
#include "compile/onednn/engine.h"
#include "compile/plan/plan.h"
#include "compile/proof.h"
#include "compile/tape/refusals.h"
#include "compile/watched_weights.h"
#include "watch/operators.h"

#ifdef CONVKIT_CUDA
#include "compile/engines/cuda_graph.h"
#endif

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

namespace convkit {

namespace detail {

namespace {

/// Gives the heap's free pages back to the system: a plan is made with copies of the weights, and glibc would keep
/// their memory, with gaps, for as long as any piece above it is in use.
void give_back_free_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

/// The compiled modules that a thread is within.
class Entered {
 public:
  /// Throws c10::Error where this thread is within the same one: it would never end.
  explicit Entered(const void* compilation) {
    std::vector<const void*>& all = of_thread();
    TORCH_CHECK(std::find(all.begin(), all.end(), compilation) == all.end(),
                "compile: the forward calls the compiled module itself");
    all.push_back(compilation);
  }
  ~Entered() { of_thread().pop_back(); }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;

 private:
  static std::vector<const void*>& of_thread() {
    static thread_local std::vector<const void*> all;
    return all;
  }
};

}  // namespace

/// A compiled module: it looks up the plan for the inputs of a call, and makes those that are missing.
class Compilation {
 public:
  Compilation(std::shared_ptr<torch::nn::Module> module, Forward forward, std::size_t count,
              CompileOptions options)
      : module_(std::move(module)),
        forward_(std::move(forward)),
        count_(count),
        options_(std::move(options)) {
    TORCH_CHECK_TYPE(module_ != nullptr, "compile: expected a module, got none");
    TORCH_CHECK_TYPE(forward_ != nullptr, "compile: expected a forward, got none");
    check_options(options_);
  }

  Tensors run(const Tensors& given) {
    const c10::InferenceMode no_inference(false);  // whose tensors could not be written later
    const torch::NoGradGuard no_grad;
    const Entered entered(this);
    const Tensors inputs = checked_inputs(given, count_);
    if (options_.tf32) check_cuda(inputs);
    const bool has_copies =
        !std::equal(given.begin(), given.end(), inputs.begin(),
                    [](const torch::Tensor& a, const torch::Tensor& b) { return a.is_same(b); });
    Tensors outputs = is_observed() ? run_plain(inputs) : run_planned(inputs, has_copies);
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

  Explanation explain() {
    const std::lock_guard lock(mutex_);
    Explanation result;
    for (const Planned& planned : plans_) {
      PlanExplanation& plan = result.plans.emplace_back();
      planned.key.explain(plan);
      plan.dtype = c10::toString(planned.dtype);
      plan.notes = planned.notes;
      plan.remarks = planned.remarks;
      plan.fell_back = planned.fell_back;
      planned.engine->explain(plan);
    }
    return result;
  }

 private:
  struct Planned {
    PlanKey key;
    std::shared_ptr<Engine> engine;
    std::map<std::string, int64_t> notes;
    std::vector<std::string> remarks;
    bool fell_back = false;
    torch::Dtype dtype = torch::kFloat32;  ///< in which it computes numbers of float32
    bool is_plain = false;                 ///< the plain module runs
    bool sees_input_memory = false;        ///< of inputs as they are given
    bool used = true;                      ///< since plans were last looked through for unused ones
  };

  /// Runs as a part of another module, whose operators are being looked at.
  Tensors run_plain(const Tensors& inputs) const {
    check_autocast();
    check_eval("", *module_);
    for (const auto& item : module_->named_modules("", /*include_self=*/false)) {
      check_eval(item.key(), *item.value());
    }
    return forward_(options_.fallback ? copies(inputs) : inputs);
  }

  /// `has_copies` says whether some of the inputs are copies of those that were given.
  Tensors run_planned(const Tensors& inputs, bool has_copies) {
    const Tf32Scope precision(options_.tf32);
    std::shared_ptr<Engine> engine;
    std::string refused;
    try {
      const std::lock_guard lock(mutex_);
      const Planned& planned = plan_for(inputs);
      if (planned.sees_input_memory && has_copies) {
        refuse("the forward looks at its input's memory by strides, and that has gaps or overlaps");
      }
      engine = planned.engine;
    } catch (const Refusal& refusal) {
      if (!options_.fallback) throw;
      refused = refusal.what_without_backtrace();
    }
    return engine ? engine->run(inputs) : fall_back(inputs, refused);
  }

  /// Runs the plain module, and keeps that as the plan unless it throws.
  Tensors fall_back(const Tensors& inputs, const std::string& refused) {
    std::shared_ptr<Engine> engine = make_plain_engine(forward_, refused);
    Tensors outputs = engine->run(inputs);
    const std::lock_guard lock(mutex_);
    if (find_plan(inputs) == plans_.end()) {  // which another thread may have kept
      Planned planned{PlanKey(inputs), std::move(engine), {}, {}, true};
      planned.is_plain = true;
      keep(std::move(planned));
    }
    return outputs;
  }

  /// To be called under the lock.
  const Planned& plan_for(const Tensors& inputs) {
    check_autocast();
    const bool changed = !plans_.empty() && weights_.have_changed();
    // The plain module is its own plan: it may itself be what writes to its buffers.
    if (changed) std::erase_if(plans_, [](const Planned& planned) { return !planned.is_plain; });
    if (changed || plans_.empty()) weights_.look_at(module_);
    weights_.check_eval_mode();
    let_go_of_unused();
    const auto known = find_plan(inputs);
    if (known != plans_.end()) {
      std::rotate(plans_.begin(), known, std::next(known));
    } else {
      Planned planned{PlanKey(inputs), nullptr, {}, {}, false};
      plan(inputs, planned);
      keep(std::move(planned));
    }
    plans_.front().used = true;
    return plans_.front();
  }

  std::vector<Planned>::iterator find_plan(const Tensors& inputs) {
    return std::find_if(plans_.begin(), plans_.end(),
                        [&](const Planned& planned) { return planned.key.fits(inputs); });
  }

  void keep(Planned planned) {
    if (static_cast<int64_t>(plans_.size()) >= options_.max_plans) plans_.pop_back();
    plans_.insert(plans_.begin(), std::move(planned));
    constexpr std::size_t kMiB = 1024 * 1024;
    freed_bytes_ += weights_.bytes() + kMiB;
    if (freed_bytes_ < 32 * kMiB) return;
    freed_bytes_ = 0;
    give_back_free_memory();
  }

  /// Plans that no call has used for a while keep their weights alone.
  void let_go_of_unused() {
    constexpr int64_t kWhile = 256;
    if (++calls_ % kWhile != 0) return;
    for (Planned& planned : plans_) {
      if (!std::exchange(planned.used, false)) planned.engine->let_go();
    }
  }

  /// A way to run a plan.
  struct Candidate {
    std::string name;
    std::function<Proven()> make;
  };

  void plan(const Tensors& inputs, Planned& result) {
    const Proof proof(*module_, forward_, inputs);
    const std::optional<torch::Device> device = device_of_floats(*module_, inputs);
    check_device(options_, device);
    const Graph plan = make_plan(proof.tape(), device.has_value(), pool_);
    result.notes = plan.notes;
    result.sees_input_memory = plan.sees_input_memory;
    result.remarks = proof.remarks();
    result.remarks.insert(result.remarks.end(), plan.remarks.begin(), plan.remarks.end());
    if (device) {
      for (const Candidate& candidate : candidates(proof, plan, inputs, *device)) {
        if (take(candidate, proof, result)) return;
      }
    }
    Graph exact = device ? make_plan(proof.tape(), false, pool_) : plan;
    result.notes = exact.notes;
    std::unique_ptr<Engine> engine = make_torch_engine(std::move(exact), inputs, {});
    proof.check(*engine, {Proof::kSameOperators, 0});
    result.engine = std::move(engine);
  }

  /// The engines for a plan that is not exact, the fastest first.
  std::vector<Candidate> candidates(const Proof& proof, const Graph& plan, const Tensors& inputs,
                                    torch::Device device) {
    // bfloat16 alone takes deep networks of random weights a tenth of the scale away. Of its 8 bits a rounding
    // takes half of the last one, as of float32's 24.
    const Proof::Accuracy accuracy = options_.dtype == torch::kFloat32
                                         ? Proof::Accuracy{1e-3, 1e-6}
                                         : Proof::Accuracy{0.25, 4e-3};
    EngineOptions options;
    options.dtype = options_.dtype;
    options.memory_format = options_.memory_format;
    options.timing = options_.timing;
    options.choices = options_.choices;
    options.largest_tile = options_.winograd ? 6 : 0;
    options.pool = &pool_;
    std::vector<Candidate> result;
    if (has_onednn() && device.is_cpu() && options_.onednn) {
      result.push_back({"oneDNN", [&plan, &inputs, &proof, accuracy, options] {
                          return make_accurate(proof, accuracy, options, [&](const auto& with) {
                            return make_onednn_engine(plan, inputs, with);
                          });
                        }});
    }
    result.push_back({"LibTorch's fused operators", [=, &plan, &inputs, &proof] {
                        auto engine = make_torch_engine(plan, inputs, options);
#ifdef CONVKIT_CUDA
                        if (device.is_cuda()) engine = make_cuda_graph(std::move(engine), inputs);
#endif
                        const double time = proof.check(*engine, accuracy);
                        return Proven{std::move(engine), time, {}};
                      }});
    return result;
  }

  /// Makes an engine, proves it, and takes it unless the plain operators are faster.
  bool take(const Candidate& candidate, const Proof& proof, Planned& result) const {
    try {
      auto [engine, glance, remarks] = candidate.make();
      const bool unsure = options_.timing && !(glance < 0.8 && glance > 0);
      const double time = unsure ? proof.relative_time(*engine) : glance;
      if (options_.timing && time > 1.05) {
        result.remarks.push_back(c10::str("not by ", candidate.name, ": it takes ", time,
                                          " times as long as the plain operators"));
        return false;
      }
      result.engine = std::move(engine);
      result.dtype = options_.dtype;
      result.remarks.insert(result.remarks.end(), remarks.begin(), remarks.end());
      return true;
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const c10::OutOfMemoryError&) {
      throw;
    } catch (const std::exception& error) {  // also that of an operator which it was tried with
      const auto* of_torch = dynamic_cast<const c10::Error*>(&error);
      result.remarks.push_back(
          "not by " + candidate.name + ": " +
          (of_torch != nullptr ? of_torch->what_without_backtrace() : error.what()));
      result.fell_back = true;
      return false;
    }
  }

  std::shared_ptr<torch::nn::Module> module_;
  Forward forward_;
  std::size_t count_;  ///< of inputs
  CompileOptions options_;

  ConstantPool pool_;
  std::mutex mutex_;
  int64_t calls_ = 0;
  /// About what making plans took and left free since that was given back.
  std::size_t freed_bytes_ = 0;
  std::vector<Planned> plans_;  ///< the one used last comes first
  WatchedWeights weights_;
};

}  // namespace detail

Compiled::Compiled(std::shared_ptr<detail::Compilation> compilation)
    : compilation_(std::move(compilation)) {}

torch::Tensor Compiled::operator()(const torch::Tensor& input) const {
  Tensors outputs = compilation_->run({input});
  TORCH_CHECK(outputs.size() == 1, "compile: expected a forward with one result, got ",
              outputs.size(),
              ": call it with convkit::Compiled::Tensors{x}, which gives all of them");
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

Explanation explain(const Compiled& compiled) {
  return compiled.compilation_->explain();
}

}  // namespace convkit
