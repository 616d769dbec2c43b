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
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

namespace vision {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostClasses = 1'000'000;

bool is_image(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png" || ending == ".ppm" ||
         ending == ".pgm" || ending == ".pbm";
}

/// Throws c10::Error for an image that the preset would make larger than any that is read: a shorter
/// side of 1 becomes one of 256, and the longer side grows as much.
void check_prepared_size(const torch::Tensor& image, const convkit::models::Preset& preset) {
  if (preset.resize_size.size() != 1) return;
  const auto height = static_cast<double>(image.size(1));
  const auto width = static_cast<double>(image.size(2));
  const double scale = static_cast<double>(preset.resize_size[0]) / std::min(height, width);
  constexpr int64_t kMost = convkit::ReadImageOptions{}.max_pixels;
  TORCH_CHECK(height * scale * width * scale <= static_cast<double>(kMost), "an image of ",
              image.size(2), " x ", image.size(1), " pixels, of which the preset makes more than ",
              kMost);
}

/// The first part of a message that may name every tensor of a network.
std::string beginning(const std::string& text) {
  constexpr std::size_t kMost = 600;
  if (text.size() <= kMost) return text;
  return text.substr(0, text.rfind(' ', kMost)) +
         " ... (`convkit inspect` says which network a file belongs to)";
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
      ->check(CLI::Range(int64_t{1}, kMostClasses));
  app.add_option("--threads", flags.threads, "Compute on so many threads, not on all processors")
      ->check(CLI::Range(1, 1024));
  app.add_flag(
      "--compiled", flags.compiled,
      "Compile the network, for each size of images anew: faster, and its numbers differ in "
      "the last digits");
}

Network::Network(const Flags& flags, convkit::models::Preset::Kind kind)
    : network_(make(flags)),
      preset_(convkit::models::preset(flags.model, flags.preset)),
      compiled_(flags.compiled) {
  using Kind = convkit::models::Preset::Kind;
  TORCH_CHECK_VALUE(preset_.kind == kind, "--model: expected a network for ",
                    kind == Kind::kSegmentation ? "segmentation" : "classification", ", got ",
                    flags.model);
  if (flags.threads != 0) at::set_num_threads(flags.threads);
  load(flags);
  network_->eval();
  if (flags.labels) read_labels(*flags.labels);
}

void Network::load(const Flags& flags) {
  const auto checkpoint = convkit::load_checkpoint(flags.weights, {.at = flags.at});
  try {
    convkit::load_state_dict(*network_, without_aux(checkpoint.state, *network_));
  } catch (const c10::Error& error) {
    TORCH_CHECK(false, "--weights ", cli::printable(flags.weights), ": ",
                beginning(error.what_without_backtrace()));
  }
}

void Network::read_labels(const std::string& file) {
  std::ifstream lines(file);
  TORCH_CHECK(lines && !fs::is_directory(file), "--labels: cannot open ", cli::printable(file));
  labels_.emplace();
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    labels_->push_back(line);
  }
}

torch::Tensor Network::operator()(const torch::Tensor& image) {
  const torch::NoGradGuard no_grad;
  check_prepared_size(image, preset_);
  const torch::Tensor x = preset_(image).unsqueeze(0);
  if (compiled_ && !fast_) fast_ = convkit::compile(network_, x);
  return fast_ ? (*fast_)(x) : network_(x);
}

void Network::check_labels(const torch::Tensor& result) const {
  const auto count = static_cast<int64_t>(labels_ ? labels_->size() : 0);
  TORCH_CHECK(!labels_ || count == result.size(1), "--labels: expected ", result.size(1),
              " lines, one for each class, got ", count);
}

std::string Network::label(int64_t number) const {
  return labels_ ? (*labels_)[static_cast<std::size_t>(number)] : std::to_string(number);
}

Images::Images(std::string app, const std::vector<std::string>& paths) : app_(std::move(app)) {
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      files_.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    add_folder(path, found);
    if (found.empty()) complain(path, "there is no image in it");
    std::sort(found.begin(), found.end());
    files_.insert(files_.end(), found.begin(), found.end());
  }
  progress_.emplace(files_.size() > 2);
}

void Images::add_folder(const fs::path& folder, std::vector<std::string>& found) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) complain(folder.string(), error.message());
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::error_code unknown;
    const fs::path& path = entries->path();
    if (entries->is_directory(unknown)) {
      if (!entries->is_symlink(unknown)) add_folder(path, found);
    } else if (is_image(path)) {
      found.push_back(path.string());
    }
  }
}

void Images::complain(const std::string& path, const std::string& what) {
  if (progress_) progress_->clear();
  fmt::print(stderr, "{}: {}: {}\n", app_, cli::printable(path), what);
  code_ = 2;
}

bool Images::holds(const std::string& path, const std::function<void()>& run) {
  try {
    run();
    return true;
  } catch (const c10::Error& error) {
    std::string what = error.what_without_backtrace();
    const std::string known = "read_image: " + path + ": ";
    complain(path, what.starts_with(known) ? what.substr(known.size()) : what);
  } catch (const std::exception& error) {
    complain(path, error.what());
  }
  return false;
}

int Images::each(Network& network,
                 const std::function<void(const std::string&, const torch::Tensor&,
                                          const torch::Tensor&)>& look) {
  const auto count = static_cast<int64_t>(files_.size());
  for (std::size_t i = 0; i < files_.size(); ++i) {
    progress_->show(static_cast<int64_t>(i), count);
    torch::Tensor image;
    torch::Tensor result;
    const bool is_read = holds(files_[i], [&] {
      image = convkit::read_image(files_[i]);
      result = network(image);
    });
    if (!is_read) continue;
    network.check_labels(result);
    progress_->clear();
    holds(files_[i], [&] { look(files_[i], image, result); });
    // Whoever stops the program has whole lines.
    TORCH_CHECK(std::fflush(stdout) == 0, "cannot write to the standard output");
  }
  return code_;
}

}  // namespace vision
