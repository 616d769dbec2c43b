#include "recipe.h"

#include <convkit/lr_policies.h>
#include <convkit/random_transforms.h>

namespace train {

namespace optim = convkit::optim;
namespace T = convkit::transforms;
using convkit::data::ImageFolder;

namespace {

template <typename Options>
std::unique_ptr<optim::Optimizer> make(const Flags& flags, const std::vector<torch::Tensor>& params,
                                       Options options) {
  options.lr = flags.lr.value_or(options.lr);
  options.weight_decay = flags.weight_decay.value_or(options.weight_decay);
  if constexpr (requires { options.momentum; }) {
    options.momentum = flags.momentum.value_or(options.momentum);
  }
  return std::make_unique<optim::OptimizerOf<Options>>(params, options);
}

std::shared_ptr<optim::LRScheduler> make_main_schedule(const Flags& flags,
                                                       optim::Optimizer& optimizer) {
  const double gamma = flags.lr_gamma.value_or(0.1);
  if (flags.schedule == "cosine") {
    return std::make_shared<optim::CosineAnnealingLR>(
        optimizer, optim::CosineAnnealingLROptions{.T_max = flags.epochs - flags.lr_warmup_epochs,
                                                   .eta_min = flags.lr_min.value_or(0)});
  }
  if (flags.schedule == "step") {
    return std::make_shared<optim::StepLR>(
        optimizer,
        optim::StepLROptions{.step_size = flags.lr_step_size.value_or(30), .gamma = gamma});
  }
  if (flags.schedule == "exponential") {
    return std::make_shared<optim::ExponentialLR>(optimizer,
                                                  optim::ExponentialLROptions{.gamma = gamma});
  }
  return std::make_shared<optim::ConstantLR>(
      optimizer, optim::ConstantLROptions{.factor = 1, .total_iters = 0});
}

T::Interpolation interpolation_of(const Flags& flags) {
  if (flags.interpolation == "nearest") return T::Interpolation::kNearest;
  if (flags.interpolation == "bicubic") return T::Interpolation::kBicubic;
  return T::Interpolation::kBilinear;
}

torch::Tensor plain(const Flags& flags, const torch::Tensor& image) {
  return T::resize(image, {flags.train_crop_size, flags.train_crop_size},
                   {.interpolation = interpolation_of(flags)});
}

torch::Tensor augmented(const Flags& flags, const torch::Tensor& image,
                        const std::optional<at::Generator>& generator) {
  const torch::Tensor x = T::random_resized_crop(
      image, {flags.train_crop_size}, {.interpolation = interpolation_of(flags)}, generator);
  const double p = flags.hflip_prob.value_or(0.5);
  return p > 0 ? T::random_horizontal_flip(x, p, generator)
               : x;  // as torchvision, which draws none
}

torch::Tensor middle(const Flags& flags, const torch::Tensor& image) {
  const torch::Tensor x = T::resize(image, {flags.val_resize_size.value_or(256)},
                                    {.interpolation = interpolation_of(flags)});
  return T::center_crop(x, {flags.val_crop_size.value_or(224)});
}

torch::Tensor normalized(const Flags& flags, const torch::Tensor& image) {
  return T::normalize(T::to_tensor(image), flags.mean, flags.std);
}

}  // namespace

std::unique_ptr<optim::Optimizer> make_optimizer(const Flags& flags,
                                                 const std::vector<torch::Tensor>& params) {
  if (flags.optimizer == "adam") return make(flags, params, optim::AdamOptions());
  if (flags.optimizer == "adamw") return make(flags, params, optim::AdamWOptions());
  if (flags.optimizer == "rmsprop") return make(flags, params, optim::RMSpropOptions());
  if (flags.optimizer == "adagrad") return make(flags, params, optim::AdagradOptions());
  if (flags.optimizer == "nadam") return make(flags, params, optim::NAdamOptions());
  if (flags.optimizer == "radam") return make(flags, params, optim::RAdamOptions());
  return make(flags, params,
              optim::SGDOptions{
                  .lr = 0.1, .momentum = 0.9, .weight_decay = 1e-4, .nesterov = flags.nesterov});
}

std::shared_ptr<optim::LRScheduler> make_schedule(const Flags& flags, optim::Optimizer& optimizer) {
  if (flags.lr_warmup_epochs == 0) {
    return flags.schedule == "none" ? nullptr : make_main_schedule(flags, optimizer);
  }
  const auto warmup = std::make_shared<optim::LinearLR>(
      optimizer, optim::LinearLROptions{.start_factor = flags.lr_warmup_decay.value_or(0.01),
                                        .total_iters = flags.lr_warmup_epochs});
  const std::shared_ptr<optim::LRScheduler> main = make_main_schedule(flags, optimizer);
  return std::make_shared<optim::SequentialLR>(
      optimizer, std::vector<std::shared_ptr<optim::LRScheduler>>{warmup, main},
      std::vector<int64_t>{flags.lr_warmup_epochs});
}

ImageFolder training_images(const Flags& flags) {
  return ImageFolder(
      flags.folder, {.transform = [flags](const torch::Tensor& image,
                                          const std::optional<at::Generator>& generator) {
        return normalized(flags, flags.augment == "none" ? plain(flags, image)
                                                         : augmented(flags, image, generator));
      }});
}

ImageFolder validation_images(const Flags& flags) {
  return ImageFolder(
      flags.val, {.transform = [flags](const torch::Tensor& image,
                                       const std::optional<at::Generator>& /*generator*/) {
        return normalized(flags,
                          flags.augment == "none" ? plain(flags, image) : middle(flags, image));
      }});
}

}  // namespace train
