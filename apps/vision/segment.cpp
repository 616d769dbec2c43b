// segment PATH... -o FOLDER: which part of a photograph a network takes for what.
#include "vision.h"

#include <convkit/image.h>
#include <convkit/transforms.h>

#include <ATen/core/TensorBody.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <utility>

namespace {

namespace fs = std::filesystem;

/// The colors in which PASCAL VOC's masks are drawn: the bits of a class's number, from the lowest on,
/// are the highest bits of red, green and blue in turn. Class 0 is black.
torch::Tensor colors(int64_t classes) {
  std::vector<int64_t> numbers;
  for (int64_t number = 0; number < classes; ++number) {
    for (int64_t channel = 0; channel < 3; ++channel) {
      int64_t color = 0;
      for (int64_t bit = 0; bit < 8; ++bit)
        color |= (number >> (3 * bit + channel) & 1) << (7 - bit);
      numbers.push_back(color);
    }
  }
  return at::tensor(numbers, torch::kLong).view({classes, 3});
}

/// The class of each pixel [H, W] of an image of that size.
torch::Tensor classes_of(const torch::Tensor& logits, int64_t height, int64_t width) {
  const torch::Tensor classes = logits.argmax(1).to(torch::kByte);
  return convkit::transforms::resize(classes, {height, width},
                                     {.interpolation = convkit::transforms::Interpolation::kNearest,
                                      .way = convkit::transforms::Way::kTensor})
      .squeeze(0);
}

/// Half of the photograph, and half of the class's color: all of the photograph where that is class 0.
torch::Tensor painted(const torch::Tensor& image, const torch::Tensor& classes, int64_t count) {
  const torch::Tensor color =
      colors(count).index_select(0, classes.reshape(-1).to(torch::kLong)).t().view_as(image);
  const torch::Tensor mixed = (image.to(torch::kLong) + color).div(2, "floor").to(torch::kByte);
  return mixed.where(classes.ne(0), image);
}

/// Where the picture of each file goes: photo.png, or photo-2.png where that name is taken. Throws
/// c10::Error where that is one of the files.
std::map<std::string, std::string> targets(const std::string& folder,
                                           const std::vector<std::string>& files) {
  std::set<fs::path> read;
  std::error_code error;
  for (const std::string& file : files) read.insert(fs::weakly_canonical(file, error));
  std::set<std::string> taken;
  std::map<std::string, std::string> targets;
  for (const std::string& file : files) {
    const std::string stem = fs::path(file).stem().string();
    std::string name = stem + ".png";
    for (int number = 2; !taken.insert(name).second; ++number) {
      name = fmt::format("{}-{}.png", stem, number);
    }
    const fs::path target = fs::path(folder) / name;
    TORCH_CHECK_VALUE(!read.contains(fs::weakly_canonical(target, error)),
                      "-o: expected another folder than ", cli::printable(folder), ", where ",
                      cli::printable(name), " is one of the images");
    targets.emplace(file, target.string());
  }
  return targets;
}

void print(const std::string& path, const std::string& written, const torch::Tensor& classes,
           int64_t count, const vision::Network& network) {
  fmt::print("{} -> {}\n", cli::printable(path), cli::printable(written));
  const torch::Tensor pixels = at::bincount(classes.reshape(-1), {}, count);
  for (int64_t number = 0; number < count; ++number) {
    const auto found = pixels[number].item<int64_t>();
    if (found == 0) continue;
    fmt::print("  {:6.2f} %  {}\n",
               100 * static_cast<double>(found) / static_cast<double>(classes.numel()),
               cli::printable(network.label(number)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  // oneDNN, inside LibTorch, keeps 1,024 convolutions, each made for one size of images: with images of
  // many sizes these were 1.7 GB. No network here has more than 256 of them.
  setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256", /*overwrite=*/0);
  CLI::App app(
      "Says which part of a photograph a network takes for what, and paints it over the "
      "photograph.\nExit code: 0; 2 for a wrong command line, bad weights, or a file that is no "
      "image.",
      "segment");
  app.footer(
      "Example: segment photo.jpg --model lraspp_mobilenet_v3_large --weights "
      "lraspp_mobilenet_v3_large-d234d4ea.pth -o painted");
  vision::Flags flags;
  std::string folder;
  bool masks = false;
  vision::add_flags(app, flags);
  app.add_option("-o,--output", folder, "The folder that the pictures, all PNG, are written to")
      ->required();
  app.add_flag("--masks", masks, "Write the numbers of the classes as shades of grey instead");
  return cli::run(app, argc, argv, [&] {
    vision::Network network(flags, convkit::models::Preset::Kind::kSegmentation);
    vision::Images images(app.get_name(), flags.paths);
    const auto target = targets(folder, images.files());
    std::error_code error;
    fs::create_directories(folder, error);
    TORCH_CHECK(fs::is_directory(folder), "-o: cannot make the folder ", cli::printable(folder),
                ": ", error.message());
    return images.each(network, [&](const std::string& path, const torch::Tensor& image,
                                    const torch::Tensor& logits) {
      const int64_t count = logits.size(1);
      TORCH_CHECK(count <= 256, "expected at most 256 classes, got ", count);
      const torch::Tensor classes = classes_of(logits, image.size(1), image.size(2));
      const std::string& written = target.at(path);
      convkit::write_image(masks ? classes.unsqueeze(0) : painted(image, classes, count), written);
      print(path, written, classes, count, network);
    });
  });
}
