#pragma once

/// Everything, in the order in which the headers build on each other, and torch::nn::functional's
/// pad() and interpolate(), which ports of networks call. A file that includes one of them alone
/// compiles faster.

// clang-format off
#include <convkit/arithmetic.h>
#include <convkit/module.h>
#include <convkit/init.h>
#include <convkit/conv.h>
#include <convkit/same.h>
#include <convkit/filters.h>
#include <convkit/activation.h>
#include <convkit/norm.h>
#include <convkit/blocks.h>
#include <convkit/separable.h>
#include <convkit/upsample.h>
#include <convkit/attention.h>
#include <convkit/branch_attention.h>
#include <convkit/multihead_attention.h>
#include <convkit/parametrize.h>
#include <convkit/segmentation.h>
#include <convkit/ops.h>
#include <convkit/models/classifier.h>
#include <convkit/models/alexnet.h>
#include <convkit/models/vgg.h>
#include <convkit/models/squeezenet.h>
#include <convkit/models/inception.h>
#include <convkit/models/googlenet.h>
#include <convkit/models/resnet.h>
#include <convkit/models/densenet.h>
#include <convkit/models/mobilenetv1.h>
#include <convkit/models/mobilenetv2.h>
#include <convkit/models/mobilenetv3.h>
#include <convkit/models/shufflenetv2.h>
#include <convkit/models/mnasnet.h>
#include <convkit/models/efficientnet.h>
#include <convkit/models/regnet.h>
#include <convkit/models/convnext.h>
#include <convkit/models/xception.h>
#include <convkit/models/segmentation.h>
#include <convkit/models/unet.h>
#include <convkit/models/video.h>
#include <convkit/models/dcgan.h>
#include <convkit/models/edsr.h>
#include <convkit/models.h>
#include <convkit/state_dict.h>
#include <convkit/tree.h>
#include <convkit/checkpoint.h>
#include <convkit/compare.h>
#include <convkit/summary.h>
#include <convkit/compile.h>
#include <convkit/image.h>
#include <convkit/transforms.h>
#include <convkit/boxes.h>
#include <convkit/sample.h>
#include <convkit/random_transforms.h>
#include <convkit/color.h>
#include <convkit/random_color.h>
#include <convkit/transform_modules.h>
#include <convkit/presets.h>
#include <convkit/sampler.h>
#include <convkit/dataset.h>
#include <convkit/collate.h>
#include <convkit/data.h>
#include <convkit/optim.h>
#include <convkit/clip_grad.h>
#include <convkit/lr_scheduler.h>
#include <convkit/lr_policies.h>
#include <convkit/averaging.h>
#include <convkit/amp.h>
#include <convkit/compare_training.h>
#include <convkit/sync_batch_norm.h>
#include <convkit/parallel.h>
// clang-format on

#include <torch/nn/functional/padding.h>
#include <torch/nn/functional/upsampling.h>
