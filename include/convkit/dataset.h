#pragma once

#include <convkit/module.h>

#include <ATen/core/Generator.h>
#include <c10/util/Exception.h>
#include <torch/types.h>

#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// Examples by their index.
namespace convkit::data {

/// What a DataLoader takes its examples from: any type with these two members.
///
///     struct Noise {
///       int64_t size() const { return 100; }
///       torch::Tensor get(int64_t index, std::optional<at::Generator> generator) const;
///     };
///
/// get() draws its random numbers from the generator that it is given, and may be called on several
/// threads at once. An example is a tensor, a number, a text, a std::pair, tuple, array, vector or map
/// of such, or a type of your own.
///
/// Source:  torch.utils.data.Dataset
template <typename D>
concept Dataset =
    requires(const D& dataset, int64_t index, std::optional<at::Generator> generator) {
      { dataset.size() } -> std::convertible_to<int64_t>;
      dataset.get(index, generator);
    };

/// What get() of a dataset gives.
template <Dataset D>
using ExampleOf = std::decay_t<decltype(std::declval<const D&>().get(0, std::nullopt))>;

/// Row i of every tensor:
///
///     TensorDataset dataset(images, labels);
///
/// Throws:  c10::ValueError for tensors of no dimension, or of several sizes of their first one
/// Source:  torch.utils.data.TensorDataset
template <std::size_t N>
class TensorDataset {
 public:
  template <std::same_as<torch::Tensor>... T>
    requires(sizeof...(T) == N && N > 0)
  explicit TensorDataset(T... tensors) : tensors_{std::move(tensors)...} {
    for (const torch::Tensor& tensor : tensors_) {
      TORCH_CHECK_VALUE(tensor.dim() > 0, "TensorDataset: expected tensors [N, ...], got []");
      TORCH_CHECK_VALUE(tensor.size(0) == size(), "TensorDataset: expected tensors with ", size(),
                        " rows, as the first one has, got ", tensor.size(0));
    }
  }

  /// How many rows the tensors have.
  int64_t size() const { return tensors_.front().size(0); }

  /// One row of each tensor, as a view.
  std::array<torch::Tensor, N> get(int64_t index,
                                   const std::optional<at::Generator>& /*generator*/) const {
    std::array<torch::Tensor, N> rows;
    for (std::size_t i = 0; i < N; ++i) rows[i] = tensors_[i].select(0, index);
    return rows;
  }

 private:
  std::array<torch::Tensor, N> tensors_;
};
template <std::same_as<torch::Tensor>... T>
TensorDataset(T...) -> TensorDataset<sizeof...(T)>;

namespace detail {
CONVKIT_API void check_subset(const std::vector<int64_t>& indices, int64_t size);
CONVKIT_API std::vector<std::vector<int64_t>> split_indices(
    int64_t size, const std::vector<double>& lengths,
    const std::optional<at::Generator>& generator);
}  // namespace detail

/// The examples of a dataset that have the given indices.
///
/// Throws:  c10::ValueError for an index that the dataset does not have
/// Source:  torch.utils.data.Subset, which finds such an index when it is used
template <Dataset D>
class Subset {
 public:
  Subset(D dataset, std::vector<int64_t> indices)
      : Subset(std::make_shared<const D>(std::move(dataset)), std::move(indices)) {}
  Subset(std::shared_ptr<const D> dataset, std::vector<int64_t> indices)
      : dataset_(std::move(dataset)), indices_(std::move(indices)) {
    detail::check_subset(indices_, dataset_->size());
  }

  /// How many indices there are.
  int64_t size() const { return static_cast<int64_t>(indices_.size()); }
  /// The example of the whole dataset that the index at this place stands for.
  ExampleOf<D> get(int64_t index, std::optional<at::Generator> generator) const {
    return dataset_->get(indices_.at(static_cast<std::size_t>(index)), std::move(generator));
  }

  /// The whole dataset.
  const D& dataset() const { return *dataset_; }
  /// The examples' indices in the whole dataset.
  const std::vector<int64_t>& indices() const { return indices_; }

 private:
  std::shared_ptr<const D> dataset_;
  std::vector<int64_t> indices_;
};

/// A part's number of examples, or its fraction of all.
struct SplitLength {
  template <typename T>
    requires std::is_arithmetic_v<T>
  SplitLength(T length) : value(static_cast<double>(length)) {}

  double value;
};

/// Parts of a dataset at random, which share it: as many examples each as `lengths` says, or, where
/// these sum up to 1, such fractions of it.
///
///     const auto parts = random_split(dataset, {0.9, 0.1});
///
/// Throws:  c10::ValueError for lengths that are not whole numbers from 0, and for those that do not
///          sum up to the dataset's size
/// Source:  torch.utils.data.random_split
/// Differs: it does not warn of empty parts.
template <Dataset D>
std::vector<Subset<D>> random_split(D dataset, const std::vector<SplitLength>& lengths,
                                    const std::optional<at::Generator>& generator = {}) {
  std::vector<double> values;
  for (const SplitLength& length : lengths) values.push_back(length.value);
  const auto shared = std::make_shared<const D>(std::move(dataset));
  std::vector<Subset<D>> parts;
  for (std::vector<int64_t>& indices : detail::split_indices(shared->size(), values, generator)) {
    parts.emplace_back(shared, std::move(indices));
  }
  return parts;
}

/// Options of ImageFolder.
struct ImageFolderOptions {
  /// From a loaded image to an example's.
  std::function<torch::Tensor(const torch::Tensor& image, std::optional<at::Generator> generator)>
      transform = {};
  std::function<int64_t(int64_t)> target_transform = {};
  /// From a file to an image; by default read_image().
  std::function<torch::Tensor(const std::string& path)> loader = {};
  /// What a file's name ends with, in small letters; by default those of torchvision: .jpg, .jpeg,
  /// .png, .ppm, .bmp, .pgm, .tif, .tiff and .webp.
  std::vector<std::string> extensions = {};
  /// Says which files are images, in place of their extensions.
  std::function<bool(const std::string& path)> is_valid_file = {};
  bool allow_empty = false;  ///< whether a class may have no file
};

/// Images in folders, one for each class, and the number of the class:
///
///     ImageFolder dataset("flowers/train", {.transform = augment});  // flowers/train/rose/01.jpg
///
/// The classes are the sorted names of the folders. Their files may lie in folders of their own, and
/// links are followed.
///
/// Throws:  c10::ValueError for a root that cannot be read or has no folders, for a class without a
///          file, and for extensions beside is_valid_file
/// Source:  torchvision.datasets.ImageFolder, whose list of files it has
/// Differs: names that are not UTF-8 are sorted by their bytes, and ~ is no home.
class CONVKIT_API ImageFolder {
 public:
  /// An image's file and the number of its class.
  struct Sample {
    std::string path;
    int64_t target;
  };

  explicit ImageFolder(const std::string& root, ImageFolderOptions options = {});

  /// How many images there are.
  int64_t size() const { return static_cast<int64_t>(samples_.size()); }
  /// An image, transformed, and its class.
  std::pair<torch::Tensor, int64_t> get(int64_t index,
                                        std::optional<at::Generator> generator) const;

  /// The names of the classes, by their numbers.
  const std::vector<std::string>& classes() const { return classes_; }
  /// The place of each class in classes().
  const std::map<std::string, int64_t>& class_to_idx() const { return class_to_idx_; }
  /// All files, those of each class sorted by their paths.
  const std::vector<Sample>& samples() const { return samples_; }

 private:
  ImageFolderOptions options_;
  std::vector<std::string> classes_;
  std::map<std::string, int64_t> class_to_idx_;
  std::vector<Sample> samples_;
};

}  // namespace convkit::data
