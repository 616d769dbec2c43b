// Times what becomes of a photograph, as images.py asks for it: "pillow bicubic 480 640 256 341", or
// "read photo.jpg".
#include <convkit/image.h>
#include <convkit/presets.h>
#include <convkit/transforms.h>

#include <torch/types.h>
#include <torch/utils.h>

#include <chrono>
#include <iostream>
#include <sstream>
#include <string>

namespace {

namespace T = convkit::transforms;

/// What "pillow", "input" and "tensor" stand for.
torch::Tensor run(const std::string& name, const torch::Tensor& image,
                  const convkit::models::Preset& preset) {
  if (name == "input") return preset(image);
  return T::resize(image, preset.resize_size,
                   {.interpolation = preset.interpolation,
                    .way = name == "pillow" ? T::Way::kPillow : T::Way::kTensor});
}

}  // namespace

int main(int, char** argv) {
  torch::set_num_threads(std::stoi(argv[1]));
  const torch::Tensor photograph = torch::randint(0, 256, {3, 1080, 1920}, torch::kByte);
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string name;
    std::string interpolation;
    int64_t height = 0;
    int64_t width = 0;
    convkit::models::Preset preset{
        .resize_size = {0, 0}, .mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}};
    words >> name;
    if (name == "read") {
      std::string path;
      words >> path;
      const auto start = std::chrono::steady_clock::now();
      const torch::Tensor image = convkit::read_image(path);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      std::cout << taken.count() << std::endl;
      continue;
    }
    words >> interpolation >> height >> width >> preset.resize_size[0] >> preset.resize_size[1];
    if (interpolation == "bicubic") preset.interpolation = T::Interpolation::kBicubic;
    const torch::Tensor image = photograph.narrow(1, 0, height).narrow(2, 0, width).contiguous();
    const auto start = std::chrono::steady_clock::now();
    const torch::Tensor result = run(name, image, preset);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    std::cout << taken.count() << std::endl;
  }
}
