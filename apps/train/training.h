#pragma once

#include "recipe.h"

#include <convkit/data.h>
#include <convkit/models.h>
#include <convkit/parallel.h>
#include <convkit/tree.h>

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace train {

/// A network whose call gives the results of all its heads.
class Heads : public convkit::models::Network {
 public:
  using Network::Network;
  auto operator()(const torch::Tensor& x) { return outputs(x); }
};

/// Losses and hits of images.
struct Sums {
  torch::Tensor values;  // the sum of the losses, the hits, the images: float64 [3]

  Sums();
  void add(double loss, int64_t hits, int64_t images);
  [[nodiscard]] double loss() const;
  [[nodiscard]] double accuracy() const;
  [[nodiscard]] int64_t images() const;
};

/// One of the processes that train a network, or the only one.
class Training {
 public:
  /// Throws c10::Error for flags that do not fit the images, and for a file that does not fit both.
  explicit Training(Flags flags);

  /// Trains until the last epoch has ended, prints and writes what the flags ask for.
  void run();

 private:
  using Images = convkit::data::ImageFolder;
  using Part = convkit::data::Subset<Images>;
  using Result = torch::OrderedDict<std::string, torch::Tensor>;

  void make_loaders();
  void make_network();
  void load_weights();
  /// Goes on with last.pt, if it is there.
  void resume();
  void load(const convkit::Tree& saved);
  void check_recipe(const std::string& saved) const;

  void train_epoch();
  void step(const torch::Tensor& images, const torch::Tensor& labels);
  /// The loss, and how many images were recognised.
  std::pair<torch::Tensor, int64_t> loss_of(const Result& outputs, const torch::Tensor& labels);
  Sums validate();
  void end_epoch();

  void save(const char* name);
  [[nodiscard]] std::string path(const char* name) const;
  /// The sums of all processes.
  [[nodiscard]] Sums of_all(const Sums& sums) const;
  [[nodiscard]] bool is_first() const { return !group_ || group_->rank() == 0; }
  void print(const nlohmann::ordered_json& line);

  Flags flags_;
  std::string recipe_;
  int64_t files_ = 0;  // the fingerprint of the images' names and classes
  std::optional<convkit::parallel::ProcessGroup> group_;
  std::shared_ptr<convkit::data::DistributedSampler> sampler_;  // where there are several processes
  std::optional<convkit::data::DataLoader<Images>> images_;
  std::optional<convkit::data::DataLoader<Part>> validation_;
  std::optional<Heads> network_;
  std::optional<convkit::parallel::DistributedDataParallel<Heads>> parallel_;
  std::unique_ptr<convkit::optim::Optimizer> optimizer_;
  std::shared_ptr<convkit::optim::LRScheduler> schedule_;

  int64_t epoch_ = 0;  // how many have ended
  int64_t step_ = 0;   // of all epochs
  Sums sums_;          // of this epoch
  std::chrono::steady_clock::time_point epoch_begun_;
  std::chrono::steady_clock::duration waited_{};  // for images, in this epoch
  int64_t images_before_ = 0;                     // of this epoch, before it was resumed
  double best_ = -1;                              // the largest accuracy of a validation
  cli::Progress progress_;
};

}  // namespace train
