#pragma once

#include "../cli.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace train {

struct Flags {
  std::string folder;
  std::string val;
  std::string output;
  bool resume = false;
  bool json = false;
  bool log_steps = false;
  int threads = 0;
  int64_t checkpoint_every = 0;

  // What decides on the bits of the weights.
  std::string model;
  int64_t epochs = 90;
  int64_t batch_size = 32;
  int64_t workers = 2;
  int64_t seed = 0;
  std::string weights;
  std::string optimizer = "sgd";
  std::optional<double> lr;
  std::optional<double> momentum;
  std::optional<double> weight_decay;
  bool nesterov = false;
  double label_smoothing = 0;
  double clip_grad_norm = 0;
  std::string schedule = "cosine";
  std::optional<double> lr_min;
  std::optional<int64_t> lr_step_size;
  std::optional<double> lr_gamma;
  int64_t lr_warmup_epochs = 0;
  std::optional<double> lr_warmup_decay;
  std::string augment = "crop";
  int64_t train_crop_size = 224;
  std::optional<int64_t> val_resize_size;
  std::optional<int64_t> val_crop_size;
  std::optional<double> hflip_prob;
  std::string interpolation = "bilinear";
  std::vector<double> mean = {0.485, 0.456, 0.406};
  std::vector<double> std = {0.229, 0.224, 0.225};
};

void add_flags(CLI::App& app, Flags& flags);

/// Fills in the folders train and val. Throws c10::ValueError for flags that do not go together.
void complete(Flags& flags);

/// What decides on the bits of the weights, which --config takes too.
nlohmann::ordered_json recipe_of(const Flags& flags);

}  // namespace train
