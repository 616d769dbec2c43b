#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/ordered_dict.h>
#include <torch/types.h>

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

/// Marks what a shared build of the library exports; everything else stays hidden.
#define CONVKIT_API __attribute__((visibility("default")))

/// The core that every module of convkit, and a user's own, is made of.
///
///     struct TwiceImpl : convkit::Block<TwiceImpl> {
///       TwiceImpl() { TwiceImpl::reset(); }
///       void reset() override {
///         conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 3, 1)));
///       }
///       torch::Tensor forward(const torch::Tensor& x) override { return conv(conv(x)); }
///       torch::nn::Conv2d conv{nullptr};
///     };
///     CONVKIT_MODULE(Twice);
namespace convkit {

/// A module that maps one tensor to one tensor.
class CONVKIT_API TensorModule {
 public:
  TensorModule() = default;
  TensorModule(const TensorModule&) = default;
  TensorModule& operator=(const TensorModule&) = default;
  virtual ~TensorModule();

  virtual torch::Tensor forward(const torch::Tensor& x) = 0;
};

/// The base by which a module tells about its keys in a state_dict. Cloneable and Block derive from
/// it, and a module that is neither may do so too.
class CONVKIT_API StateKeys {
 public:
  StateKeys() = default;
  StateKeys(const StateKeys&) = default;
  StateKeys& operator=(const StateKeys&) = default;
  virtual ~StateKeys();

  /// The buffers that belong to no state_dict, as after Python's register_buffer(persistent=False).
  [[nodiscard]] const std::set<std::string>& non_persistent_buffers() const {
    return non_persistent_buffers_;
  }

  /// Gives the current name of a key that an older version of the module may have had: an empty one
  /// if the module needs no such tensor any more, and the key itself if nothing changed. Keys begin
  /// below the module and go on into its children: "weight", "conv.bias". load_state_dict() asks
  /// for every key, and keeps an old name where the current one is there as well.
  ///
  ///     std::string current_key(const std::string& key) const override {
  ///       return key == "gamma" ? "weight" : key;
  ///     }
  ///
  /// Source: what torch.nn.Module._load_from_state_dict is overridden for
  [[nodiscard]] virtual std::string current_key(const std::string& key) const { return key; }

 protected:
  std::set<std::string> non_persistent_buffers_;
};

namespace detail {

/// "convkit::ConvBlockImpl" -> "ConvBlock".
CONVKIT_API std::string python_name(const std::string& cpp_name);

/// Gives a module's copy the requires_grad of its parameters, which LibTorch's clone() leaves out.
CONVKIT_API void copy_requires_grad(const torch::nn::Module& from, torch::nn::Module& to);

/// Puts the CPU's random state back at the end of a scope.
class CONVKIT_API KeepRandomState {
 public:
  KeepRandomState();
  ~KeepRandomState();
  KeepRandomState(const KeepRandomState&) = delete;
  KeepRandomState& operator=(const KeepRandomState&) = delete;

 private:
  torch::Tensor state_;
};

/// Mends what Module::to does otherwise than Python's: it converts integers too, and leaves
/// gradients behind.
class CONVKIT_API Conversion {
 public:
  /// Throws c10::TypeError for a new dtype that is neither floating point nor complex.
  Conversion(const torch::nn::Module& module, std::optional<torch::Dtype> new_dtype);
  /// Puts integers back and takes gradients along, once Module::to is done.
  void finish() const;

 private:
  std::vector<torch::Tensor> parameters_;
  // The registered tensor, and its value before.
  std::vector<std::pair<torch::Tensor, torch::Tensor>> integers_;
};

/// Marks a module as the one that runs on this thread, for as long as the mark lives; see
/// CONVKIT_MODULE.
struct CONVKIT_API Running {
  explicit Running(const torch::nn::Module& running) : module(running), outer(innermost) {
    innermost = this;
  }
  ~Running() { innermost = outer; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  const torch::nn::Module& module;
  const Running* const outer;

  static constinit thread_local const Running* innermost;
};

/// An observer is told of every call of a module on this thread, for as long as it is `current`.
class CONVKIT_API CallObserver {
 public:
  using Tensors = std::vector<std::pair<std::string, torch::Tensor>>;  ///< with their names

  CallObserver() = default;
  CallObserver(const CallObserver&) = delete;
  CallObserver& operator=(const CallObserver&) = delete;
  virtual ~CallObserver();

  virtual void before(const torch::nn::Module& module, const Tensors& inputs) = 0;
  virtual void after(const torch::nn::Module& module, const Tensors& outputs) = 0;

  static constinit thread_local CallObserver* current;
};

/// collect() adds the tensors of an argument or result under their names: of a list, a tuple and a
/// dict each member's.
inline void collect(CallObserver::Tensors& tensors, std::string name, const torch::Tensor& value) {
  if (value.defined()) tensors.emplace_back(std::move(name), value);
}
CONVKIT_API void collect(CallObserver::Tensors& tensors, const std::string& name,
                         const std::vector<torch::Tensor>& values);
CONVKIT_API void collect(CallObserver::Tensors& tensors, const std::string& name,
                         const torch::OrderedDict<std::string, torch::Tensor>& values);
/// Numbers and the like have no tensors.
template <typename Other>
void collect(CallObserver::Tensors&, const std::string&, const Other&) {}
template <typename... Values>
void collect(CallObserver::Tensors& tensors, const std::string& name,
             const std::tuple<Values...>& values) {
  [[maybe_unused]] int64_t index = 0;
  const auto add = [&](const auto& value) {
    collect(tensors, (name.empty() ? "" : name + "/") + std::to_string(index++), value);
  };
  std::apply([&](const auto&... value) { (add(value), ...); }, values);
}

/// The tensors among the arguments of a call, under their positions.
template <typename... Args>
CallObserver::Tensors inputs_of(const Args&... args) {
  CallObserver::Tensors tensors;
  [[maybe_unused]] int64_t index = 0;
  (collect(tensors, std::to_string(index++), args), ...);
  return tensors;
}

/// Runs `forward` with its module marked as the running one, and tells the observer.
template <typename Forward, typename... Args>
auto observed(const torch::nn::Module& module, const Forward& forward, Args&&... args) {
  const Running running(module);
  CallObserver* const observer = CallObserver::current;
  if (observer == nullptr) return forward(std::forward<Args>(args)...);
  observer->before(module, inputs_of(args...));
  auto result = forward(std::forward<Args>(args)...);
  CallObserver::Tensors outputs;
  collect(outputs, "", result);
  observer->after(module, outputs);
  return result;
}

}  // namespace detail

/// torch::nn::Cloneable, but as Python's modules are. Block derives from it, and so do our modules
/// with several inputs or outputs.
///
/// - `to()` leaves integers alone (num_batches_tracked stays int64) and takes gradients along, as
///   Python's does.
/// - `clone()` keeps `requires_grad` and puts the CPU's random state back, as if it had drawn
///   nothing: no other thread may draw from it meanwhile.
/// - It prints under its own name: ConvBlockImpl as `ConvBlock`.
///
/// `reset()` creates and registers everything; the constructor calls it.
///
/// Throws: c10::TypeError from `to` for a dtype that is neither floating point nor complex.
template <typename Derived>
class Cloneable : public torch::nn::Cloneable<Derived>, public StateKeys {
 public:
  Cloneable() : torch::nn::Cloneable<Derived>(detail::python_name(c10::demangle_type<Derived>())) {}

  std::shared_ptr<torch::nn::Module> clone(
      const std::optional<torch::Device>& device = std::nullopt) const override {
    // LibTorch's clone() calls reset(), which draws the weights that are then overwritten.
    const detail::KeepRandomState keep;
    auto copy = torch::nn::Cloneable<Derived>::clone(device);
    detail::copy_requires_grad(*this, *copy);
    return copy;
  }

  void to(torch::Dtype dtype, bool non_blocking = false) override {
    const detail::Conversion conversion(*this, dtype);
    torch::nn::Module::to(dtype, non_blocking);
    conversion.finish();
  }
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override {
    const detail::Conversion conversion(*this, dtype);
    torch::nn::Module::to(device, dtype, non_blocking);
    conversion.finish();
  }
  void to(torch::Device device, bool non_blocking = false) override {
    const detail::Conversion conversion(*this, std::nullopt);
    torch::nn::Module::to(device, non_blocking);
    conversion.finish();
  }

 protected:
  /// Registers a buffer that is in no state_dict.
  torch::Tensor& register_non_persistent_buffer(const std::string& name, torch::Tensor tensor) {
    non_persistent_buffers_.insert(name);
    return this->register_buffer(name, std::move(tensor));
  }
};

/// Every module of convkit that maps one tensor to one derives from Block.
template <typename Derived>
class Block : public Cloneable<Derived>, public TensorModule {};

/// Declares `Name`, the holder of `NameImpl`, as TORCH_MODULE does. Calling the holder also marks
/// the module as the running one, so that no `forward` needs a word about where it is.
#define CONVKIT_MODULE(Name)                                                                  \
  class Name : public ::torch::nn::ModuleHolder<Name##Impl> {                                 \
   public:                                                                                    \
    using ::torch::nn::ModuleHolder<Name##Impl>::ModuleHolder;                                \
    using Impl = Name##Impl;                                                                  \
    template <typename... Args>                                                               \
    auto operator()(Args&&... args) {                                                         \
      const auto forward = [this](auto&&... inner) {                                          \
        return this->impl_->forward(std::forward<decltype(inner)>(inner)...);                 \
      };                                                                                      \
      return ::convkit::detail::observed(*this->get(), forward, std::forward<Args>(args)...); \
    }                                                                                         \
  }

namespace detail {

/// Whether forward_child() can run the module.
CONVKIT_API bool maps_tensor_to_tensor(const torch::nn::Module& module);

}  // namespace detail

/// Runs a TensorModule, or one of torch::nn's modules whose forward takes and gives one tensor.
///
/// Throws: c10::TypeError for any other module, naming its type.
CONVKIT_API torch::Tensor forward_child(torch::nn::Module& module, const torch::Tensor& x);

/// The number of elements of all parameters, each tensor once, as Python's
/// `sum(p.numel() for p in module.parameters())`. Buffers do not count.
CONVKIT_API int64_t parameter_count(const torch::nn::Module& module);

/// Gives a module a parameter of another module in the place of its own: from then on they are one, as
/// after Python's `head.weight = embedding.weight`. A module that ties weights does so in `reset()`,
/// and in a `clone()` of its own, since LibTorch's gives each module its own tensors:
///
///     head->weight = convkit::tie_parameter(*head, "weight", embedding->weight);
///
/// Throws:  c10::ValueError for a name that the module has not, and for another shape.
CONVKIT_API torch::Tensor tie_parameter(torch::nn::Module& module, const std::string& name,
                                        const torch::Tensor& parameter);

/// One child of a Sequential: a module, or its name and the module.
class CONVKIT_API SequentialChild {
 public:
  // NOLINTBEGIN(google-explicit-constructor): `Sequential{conv, bn}` is the point.
  template <typename Impl>
  SequentialChild(const torch::nn::ModuleHolder<Impl>& holder) : module(holder.ptr()) {}
  template <std::derived_from<torch::nn::Module> Impl>
  SequentialChild(std::shared_ptr<Impl> pointer) : module(std::move(pointer)) {}
  // NOLINTEND(google-explicit-constructor)
  template <typename Impl>
  SequentialChild(std::string child_name, const torch::nn::ModuleHolder<Impl>& holder)
      : name(std::move(child_name)), module(holder.ptr()) {}
  template <std::derived_from<torch::nn::Module> Impl>
  SequentialChild(std::string child_name, std::shared_ptr<Impl> pointer)
      : name(std::move(child_name)), module(std::move(pointer)) {}

  std::optional<std::string> name;  ///< by default its index in the Sequential
  std::shared_ptr<torch::nn::Module> module;
};

/// y = child_n(... child_1(child_0(x))). It holds our modules, torch::nn's and other Sequentials.
///
/// Shape:   that of its children; without any, y is x
/// Keys:    0.*, 1.*, ..., or the names given
/// Throws:  c10::TypeError, on insertion, for a module that `forward_child` cannot run;
///          c10::ValueError for one that contains this Sequential.
/// Source:  torch.nn.Sequential
class CONVKIT_API SequentialImpl final : public Block<SequentialImpl> {
 public:
  SequentialImpl(std::initializer_list<SequentialChild> children = {});

  void reset() override {}
  std::shared_ptr<torch::nn::Module> clone(
      const std::optional<torch::Device>& device = std::nullopt) const override;
  torch::Tensor forward(const torch::Tensor& x) override;

  /// Appends a child, which costs as much as the child has modules.
  void push_back(SequentialChild child);
  /// How many children it has.
  [[nodiscard]] std::size_t size() const;
  /// Throws: c10::IndexError.
  [[nodiscard]] std::shared_ptr<torch::nn::Module> operator[](std::size_t index) const;
};

/// The holder of a SequentialImpl. It is written with braces:
/// `Sequential{ConvBlock(3, 8), torch::nn::ReLU(), Sequential{...}}`, or
/// `Sequential{{"stem", ConvBlock(3, 8)}, {"head", ...}}`. Braces create the children in Python's
/// order; parentheses would not, and do not compile. Clang before 20 takes braces around one single
/// Sequential for a copy of the holder (CWG 2137): there, nest it by `push_back`.
class Sequential : public torch::nn::ModuleHolder<SequentialImpl> {
 public:
  using torch::nn::ModuleHolder<SequentialImpl>::ModuleHolder;
  using Impl = SequentialImpl;  ///< what it holds

  Sequential() : Sequential(std::make_shared<SequentialImpl>()) {}
  Sequential(std::initializer_list<SequentialChild> children)
      : Sequential(std::make_shared<SequentialImpl>(children)) {}

  torch::Tensor operator()(const torch::Tensor& x) { return forward_child(*get(), x); }
};

}  // namespace convkit
