#pragma once

#include "flags.h"

#include <convkit/dataset.h>
#include <convkit/lr_scheduler.h>
#include <convkit/optim.h>

#include <torch/types.h>

#include <memory>
#include <vector>

/// What the flags ask for, of the library's parts.
namespace train {

std::unique_ptr<convkit::optim::Optimizer> make_optimizer(const Flags& flags,
                                                          const std::vector<torch::Tensor>& params);

/// Null for --schedule none.
std::shared_ptr<convkit::optim::LRScheduler> make_schedule(const Flags& flags,
                                                           convkit::optim::Optimizer& optimizer);

convkit::data::ImageFolder training_images(const Flags& flags);
convkit::data::ImageFolder validation_images(const Flags& flags);

}  // namespace train
