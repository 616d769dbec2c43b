#pragma once

#include "../cli.h"

#include <convkit/compile.h>
#include <convkit/models.h>
#include <convkit/presets.h>

#include <torch/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
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
  std::optional<std::string> labels;
  int64_t num_classes = 0;
  int threads = 0;
  bool compiled = false;
};

void add_flags(CLI::App& app, Flags& flags);

/// A network with its weights, and what an image goes through before it.
class Network {
 public:
  /// Throws c10::Error for a network of another kind, and for weights that do not fit.
  Network(const Flags& flags, convkit::models::Preset::Kind kind);

  /// The network's result for one image, uint8 [3, H, W].
  torch::Tensor operator()(const torch::Tensor& image);

  /// Throws c10::Error for labels that are not as many as the classes of a result.
  void check_labels(const torch::Tensor& result) const;

  /// "tabby", or where there are no labels the number of the class.
  [[nodiscard]] std::string label(int64_t number) const;

 private:
  void load(const Flags& flags);
  void read_labels(const std::string& file);

  convkit::models::Network network_;
  convkit::models::Preset preset_;
  std::optional<std::vector<std::string>> labels_;
  bool compiled_;
  std::optional<convkit::Compiled> fast_;
};

/// The images that a command line names: files, and those in its folders that are images by their names,
/// in the order of these. What cannot be read is said on the standard error, and the rest goes on.
class Images {
 public:
  Images(std::string app, const std::vector<std::string>& paths);

  [[nodiscard]] const std::vector<std::string>& files() const { return files_; }

  /// Calls `look` with each and with what the network makes of it; on a terminal it shows how far it is.
  /// Returns the exit code: 0, or 2 if something could not be read or written.
  int each(Network& network,
           const std::function<void(const std::string& path, const torch::Tensor& image,
                                    const torch::Tensor& result)>& look);

 private:
  void add_folder(const std::filesystem::path& folder, std::vector<std::string>& found);
  /// Runs what concerns one file. False if it has failed, which is said.
  bool holds(const std::string& path, const std::function<void()>& run);
  void complain(const std::string& path, const std::string& what);

  std::string app_;
  std::vector<std::string> files_;
  std::optional<cli::Progress> progress_;
  int code_ = 0;
};

}  // namespace vision
