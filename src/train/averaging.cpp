#include <convkit/averaging.h>

#include <convkit/norm.h>
#include <convkit/sync_batch_norm.h>

#include <torch/nn/modules/batchnorm.h>

#include <ATen/ops/scalar_tensor.h>

#include <set>
#include <utility>
#include <vector>

namespace convkit::optim {
namespace {

using Pairs = std::vector<std::pair<torch::Tensor, torch::Tensor>>;

/// Tensors of two modules of one structure, each of the first module's once.
Pairs pairs(const std::vector<torch::Tensor>& averaged, const std::vector<torch::Tensor>& current,
            const char* what) {
  TORCH_CHECK_VALUE(averaged.size() == current.size(), "AveragedModel: expected a model with ",
                    averaged.size(), " ", what, ", got ", current.size());
  Pairs result;
  std::set<const void*> known;
  for (std::size_t i = 0; i < averaged.size(); ++i) {
    TORCH_CHECK_VALUE(averaged[i].sizes() == current[i].sizes(),
                      "AveragedModel: expected a tensor of shape ", averaged[i].sizes(), ", got ",
                      current[i].sizes());
    if (!known.insert(averaged[i].unsafeGetTensorImpl()).second) continue;
    result.emplace_back(averaged[i].detach(), current[i].detach().to(averaged[i].device()));
  }
  return result;
}

/// A batch norm whose statistics are computed anew, until it goes.
template <typename Norm>
class Restarted {
 public:
  explicit Restarted(Norm& norm) : norm_(norm), momentum_(norm.options.momentum()) {
    norm.reset_running_stats();
    norm.options.momentum(std::nullopt);
  }
  ~Restarted() { norm_.options.momentum(momentum_); }
  Restarted(const Restarted&) = delete;
  Restarted& operator=(const Restarted&) = delete;

 private:
  Norm& norm_;
  const std::optional<double> momentum_;
};

template <typename Norm>
void restart(torch::nn::Module& module, std::vector<std::shared_ptr<void>>& restarted) {
  if (auto* norm = dynamic_cast<Norm*>(&module)) {
    restarted.push_back(std::make_shared<Restarted<Norm>>(*norm));
  }
}

}  // namespace

AveragedModel::AveragedModel(const torch::nn::Module& model, AveragedModelOptions options)
    : torch::nn::Module("AveragedModel"), options_(options) {
  TORCH_CHECK_VALUE(!options.ema_decay || (*options.ema_decay >= 0 && *options.ema_decay <= 1),
                    "AveragedModel: expected an ema_decay from 0 to 1, got ", *options.ema_decay);
  n_averaged = register_buffer("n_averaged", at::scalar_tensor(0, torch::dtype(torch::kLong)));
  module = register_module("module", model.clone());
}

void AveragedModel::average(const torch::Tensor& averaged, const torch::Tensor& current) const {
  if (!options_.ema_decay) {
    averaged.copy_(averaged + (current - averaged) / (n_averaged.to(averaged.device()) + 1));
    return;
  }
  const double decay = *options_.ema_decay;
  if (averaged.is_floating_point() || averaged.is_complex()) {
    averaged.lerp_(current, 1 - decay);
  } else {
    averaged.copy_(averaged * decay + current * (1 - decay));
  }
}

void AveragedModel::update_parameters(const torch::nn::Module& model) {
  const torch::NoGradGuard no_grad;
  Pairs averaged = pairs(module->parameters(), model.parameters(), "parameters");
  Pairs copied = pairs(module->buffers(), model.buffers(), "buffers");
  if (options_.use_buffers) {
    averaged.insert(averaged.end(), copied.begin(), copied.end());
    copied.clear();
  }
  const bool first = n_averaged.item<int64_t>() == 0;
  for (const auto& [own, current] : averaged) {
    if (first) {
      own.copy_(current);
    } else {
      average(own, current);
    }
  }
  for (const auto& [own, current] : copied) own.copy_(current);
  n_averaged.add_(1);
}

torch::Tensor AveragedModel::forward(const torch::Tensor& x) {
  auto* own = dynamic_cast<TensorModule*>(module.get());
  TORCH_CHECK(own != nullptr, "AveragedModel: expected a model that maps one tensor to one, got ",
              module->name(), ": call .module");
  return own->forward(x);
}

void update_bn(torch::nn::Module& model, const std::function<void()>& run) {
  const torch::NoGradGuard no_grad;
  std::vector<std::shared_ptr<void>> restarted;
  const auto visit = [&](torch::nn::Module& module) {
    TORCH_CHECK(dynamic_cast<BatchNormAct2dImpl*>(&module) == nullptr,
                "update_bn: expected no BatchNormAct2d, whose momentum is a number always");
    restart<torch::nn::BatchNorm1dImpl>(module, restarted);
    restart<torch::nn::BatchNorm2dImpl>(module, restarted);
    restart<torch::nn::BatchNorm3dImpl>(module, restarted);
    restart<SyncBatchNormImpl>(module, restarted);
  };
  visit(model);
  for (const auto& module : model.modules(/*include_self=*/false)) visit(*module);
  if (restarted.empty()) return;
  const bool was_training = model.is_training();
  model.train();
  try {
    run();
  } catch (...) {
    model.train(was_training);
    throw;
  }
  model.train(was_training);
}

}  // namespace convkit::optim
