#include "vision.h"

#include <convkit/checkpoint.h>
#include <convkit/image.h>
#include <convkit/state_dict.h>

#include <ATen/Parallel.h>
#include <ATen/core/TensorBody.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>

namespace vision {
namespace {

namespace fs = std::filesystem;

bool is_image(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png" || ending == ".ppm" ||
         ending == ".pgm" || ending == ".pbm";
}

std::vector<std::string> files_of(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (!fs::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      if (entry.is_regular_file() && is_image(entry.path())) found.push_back(entry.path().string());
    }
    TORCH_CHECK(!found.empty(), "no image in ", cli::printable(path));
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

/// Auxiliary heads are for training: a file may have them where the network does not.
convkit::StateDict without_aux(const convkit::StateDict& state, const torch::nn::Module& network) {
  const auto keys = convkit::state_dict(network).keys();
  convkit::StateDict kept;
  for (const auto& entry : state) {
    const bool aux = entry.key().starts_with("aux");
    if (!aux || std::find(keys.begin(), keys.end(), entry.key()) != keys.end()) {
      kept.insert(entry.key(), entry.value());
    }
  }
  return kept;
}

convkit::models::Network make(const Flags& flags) {
  convkit::models::CreateOptions options;
  if (flags.num_classes != 0) options.num_classes = flags.num_classes;
  return convkit::models::create(flags.model, options);
}

}  // namespace

void add_flags(CLI::App& app, Flags& flags) {
  app.add_option("PATH", flags.paths, "Images, or folders of them")->required();
  app.add_option("--model", flags.model, "A name that `convkit models` lists")->required();
  CLI::Option* weights =
      app.add_option("--weights", flags.weights, "A checkpoint of that network")->required();
  app.add_option("--at", flags.at, "Take this member of a nested checkpoint, as in ema.model")
      ->needs(weights);
  app.add_option("--preset", flags.preset,
                 "Prepare the images for these weights of Python's, as in IMAGENET1K_V1")
      ->capture_default_str();
  app.add_option("--labels", flags.labels, "A file with the name of each class in a line");
  app.add_option("--num-classes", flags.num_classes, "Other than the default")
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", flags.threads, "Compute on so many threads, not on all processors")
      ->check(CLI::PositiveNumber);
  app.add_flag("--compiled", flags.compiled,
               "Compile the network: faster, and its numbers differ in the last digits");
}

Network::Network(const Flags& flags)
    : network_(make(flags)),
      preset_(convkit::models::preset(flags.model, flags.preset)),
      compiled_(flags.compiled) {
  TORCH_CHECK_VALUE(preset_.kind != convkit::models::Preset::Kind::kVideo,
                    "--model: expected a network for images, got ", flags.model);
  if (flags.threads != 0) at::set_num_threads(flags.threads);
  load(flags);
  network_->eval();
  if (!flags.labels.empty()) read_labels(flags.labels);
}

void Network::load(const Flags& flags) {
  const auto checkpoint = convkit::load_checkpoint(flags.weights, {.at = flags.at});
  try {
    convkit::load_state_dict(*network_, without_aux(checkpoint.state, *network_));
  } catch (const c10::Error& error) {
    TORCH_CHECK(false, "--weights ", cli::printable(flags.weights), ": ",
                error.what_without_backtrace());
  }
}

void Network::read_labels(const std::string& file) {
  std::ifstream lines(file);
  TORCH_CHECK(lines, "--labels: cannot open ", cli::printable(file));
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    labels_.push_back(line);
  }
}

torch::Tensor Network::operator()(const torch::Tensor& image) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = preset_(image).unsqueeze(0);
  if (compiled_ && !fast_) fast_ = convkit::compile(network_, x);
  const torch::Tensor y = fast_ ? (*fast_)(x) : network_(x);
  const auto classes = static_cast<int64_t>(labels_.size());
  TORCH_CHECK(labels_.empty() || classes == y.size(1), "--labels: expected ", y.size(1),
              " lines, one for each class, got ", classes);
  return y;
}

std::string Network::label(int64_t number) const {
  return labels_.empty() ? std::to_string(number) : labels_[static_cast<std::size_t>(number)];
}

int each(const std::vector<std::string>& paths,
         const std::function<void(const std::string&, const torch::Tensor&)>& look) {
  const std::vector<std::string> files = files_of(paths);
  const auto count = static_cast<int64_t>(files.size());
  cli::Progress progress(count > 2);
  int code = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    progress.show(static_cast<int64_t>(i), count);
    torch::Tensor image;
    try {
      image = convkit::read_image(files[i]);
    } catch (const c10::Error& error) {
      progress.clear();
      fmt::print(stderr, "{}\n", error.what_without_backtrace());
      code = 2;
      continue;
    }
    progress.clear();
    look(files[i], image);
  }
  return code;
}

}  // namespace vision
