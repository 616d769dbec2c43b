#include <convkit/dataset.h>
#include <convkit/image.h>

#include "files/file.h"

#include <ATen/ops/randperm.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace convkit::data {

namespace fs = std::filesystem;

namespace {

/// Numbers of examples of fractions, whose sum is 1: what is left over goes to the first parts.
std::vector<double> lengths_of(int64_t size, const std::vector<double>& fractions) {
  std::vector<double> lengths;
  int64_t left = size;
  for (const double fraction : fractions) {
    TORCH_CHECK_VALUE(fraction >= 0 && fraction <= 1,
                      "random_split: expected fractions from 0 to 1, got ", fraction);
    lengths.push_back(std::floor(static_cast<double>(size) * fraction));
    left -= static_cast<int64_t>(lengths.back());
  }
  for (int64_t i = 0; i < left; ++i) lengths[static_cast<std::size_t>(i) % lengths.size()] += 1;
  return lengths;
}

double sum_of(const std::vector<double>& lengths) {
  long double sum = 0;  // Python has compensated the errors of such sums since 3.12
  for (const double length : lengths) sum += length;
  return static_cast<double>(sum);
}

/// The entries of a folder, sorted; folders alone, or all others.
std::vector<std::string> names(const std::string& folder, bool folders, std::error_code& error) {
  std::vector<std::string> result;
  fs::directory_iterator entry(folder, error);
  while (!error && entry != fs::directory_iterator()) {
    std::error_code unknown;  // of a link that leads nowhere: that is no folder
    if (fs::is_directory(entry->path(), unknown) == folders) {
      result.push_back(entry->path().filename().string());
    }
    entry.increment(error);
  }
  std::ranges::sort(result);
  return result;
}

std::string joined(const std::string& folder, const std::string& name) {
  return folder.ends_with('/') ? folder + name : folder + '/' + name;
}

/// Adds the folder and all in it. A circle of links ends where the system follows no more of them.
void add_folders(const std::string& folder, std::vector<std::string>& folders) {
  folders.push_back(folder);
  std::error_code ignored;
  for (const std::string& name : names(folder, true, ignored)) {
    add_folders(joined(folder, name), folders);
  }
}

/// All files below a folder in torchvision's order: by the whole path of their folder, then by name.
std::vector<std::string> files_below(const std::string& folder) {
  std::vector<std::string> folders;
  add_folders(folder, folders);
  std::ranges::sort(folders);
  std::vector<std::string> files;
  for (const std::string& each : folders) {
    std::error_code ignored;
    for (const std::string& name : names(each, false, ignored)) files.push_back(joined(each, name));
  }
  return files;
}

bool has_extension(std::string path, const std::vector<std::string>& extensions) {
  for (char& letter : path) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return std::ranges::any_of(extensions, [&](const auto& end) { return path.ends_with(end); });
}

std::string listed(const std::vector<std::string>& texts) {
  std::string result;
  for (const std::string& text : texts) {
    result += (result.empty() ? "" : ", ") + convkit::detail::shown_path(text);
  }
  return result;
}

}  // namespace

namespace detail {

void check_subset(const std::vector<int64_t>& indices, int64_t size) {
  for (const int64_t index : indices) {
    TORCH_CHECK_VALUE(index >= 0 && index < size, "Subset: expected indices from 0 to ", size - 1,
                      ", got ", index);
  }
}

std::vector<std::vector<int64_t>> split_indices(int64_t size, const std::vector<double>& given,
                                                const std::optional<at::Generator>& generator) {
  const double sum = sum_of(given);
  const bool fractions = sum <= 1 && sum >= 1 - 1e-9;
  const std::vector<double> lengths = fractions ? lengths_of(size, given) : given;
  for (const double length : lengths) {
    TORCH_CHECK_VALUE(length >= 0 && length == std::floor(length),
                      "random_split: expected whole numbers that sum up to ", size,
                      ", or fractions that sum up to 1, got ", length);
  }
  TORCH_CHECK_VALUE(sum_of(lengths) == static_cast<double>(size),
                    "random_split: expected lengths that sum up to ", size, ", got ",
                    sum_of(lengths));
  const torch::Tensor order = at::randperm(size, generator, torch::kLong);
  const int64_t* next = order.const_data_ptr<int64_t>();
  std::vector<std::vector<int64_t>> parts;
  for (const double length : lengths) {
    parts.emplace_back(next, next + static_cast<int64_t>(length));
    next += static_cast<int64_t>(length);
  }
  return parts;
}

}  // namespace detail

ImageFolder::ImageFolder(const std::string& root, ImageFolderOptions options)
    : options_(std::move(options)) {
  std::vector<std::string>& extensions = options_.extensions;
  const std::string shown = convkit::detail::shown_path(root);
  if (!options_.loader) {
    options_.loader = [](const std::string& path) { return read_image(path); };
  }
  TORCH_CHECK_VALUE(extensions.empty() || !options_.is_valid_file,
                    "ImageFolder: expected extensions or is_valid_file, got both");
  std::error_code error;
  classes_ = names(root, true, error);
  TORCH_CHECK_VALUE(!error, "ImageFolder: expected a folder that can be read, got ", shown, ": ",
                    error.message());
  TORCH_CHECK_VALUE(!classes_.empty(), "ImageFolder: expected a folder for each class in ", shown,
                    ", got none");
  if (extensions.empty()) {
    extensions = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"};
  }
  std::vector<std::string> empty;
  for (const std::string& name : classes_) {
    const auto target = static_cast<int64_t>(class_to_idx_.size());
    class_to_idx_[name] = target;
    const std::size_t before = samples_.size();
    for (const std::string& path : files_below(joined(root, name))) {
      const bool valid =
          options_.is_valid_file ? options_.is_valid_file(path) : has_extension(path, extensions);
      if (valid) samples_.push_back({path, target});
    }
    if (samples_.size() == before) empty.push_back(name);
  }
  TORCH_CHECK_VALUE(empty.empty() || options_.allow_empty,
                    "ImageFolder: expected a file for each class in ", root, ", got none for ",
                    listed(empty),
                    options_.is_valid_file ? "" : "; the extensions are " + listed(extensions));
}

std::pair<torch::Tensor, int64_t> ImageFolder::get(int64_t index,
                                                   std::optional<at::Generator> generator) const {
  TORCH_CHECK_INDEX(index >= 0 && index < size(), "ImageFolder: expected an index from 0 to ",
                    size() - 1, ", got ", index);
  const auto& [path, target] = samples_[static_cast<std::size_t>(index)];
  torch::Tensor image = options_.loader(path);
  if (options_.transform) image = options_.transform(image, std::move(generator));
  return {image, options_.target_transform ? options_.target_transform(target) : target};
}

}  // namespace convkit::data
