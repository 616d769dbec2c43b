#pragma once

#include "../cli.h"

#include <convkit/compile.h>
#include <convkit/models.h>
#include <convkit/presets.h>

#include <torch/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

/// What the programs that look at photographs share.
namespace vision {

struct Flags {
  std::vector<std::string> paths;
  std::string model;
  std::string weights;
  std::string at;
  std::string preset = "DEFAULT";
  std::string labels;
  int64_t num_classes = 0;
  int threads = 0;
  bool compiled = false;
};

void add_flags(CLI::App& app, Flags& flags);

/// A network with its weights, and what an image goes through before it.
class Network {
 public:
  /// Throws c10::Error for weights that do not fit, and labels that are not as many as its classes.
  explicit Network(const Flags& flags);

  /// The network's result for one image, uint8 [3, H, W].
  torch::Tensor operator()(const torch::Tensor& image);

  /// "tabby", or where there are no labels the number of the class.
  [[nodiscard]] std::string label(int64_t number) const;

 private:
  void load(const Flags& flags);
  void read_labels(const std::string& file);

  convkit::models::Network network_;
  convkit::models::Preset preset_;
  std::vector<std::string> labels_;
  bool compiled_;
  std::optional<convkit::Compiled> fast_;
};

/// Calls `look` with each of the files, and of those in the folders that are images by their names, in
/// the order of the names; on a terminal it shows how far it is. Says on the standard error which files
/// cannot be read, and goes on. Returns the exit code: 0, or 2 if there were such files.
int each(const std::vector<std::string>& paths,
         const std::function<void(const std::string& path, const torch::Tensor& image)>& look);

}  // namespace vision
