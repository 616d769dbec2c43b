#include <convkit/checkpoint.h>
#include <convkit/models.h>
#include <convkit/presets.h>

#include "parity/reference.h"
#include "support.h"

#include <torch/torch.h>

#include <catch2/catch_test_macros.hpp>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace models = convkit::models;
using convkit::transforms::Way;
using support::error;
using torch::Tensor;

namespace {

const std::map<models::Preset::Kind, std::string> kKinds{
    {models::Preset::Kind::kClassification, "ImageClassification"},
    {models::Preset::Kind::kSegmentation, "SemanticSegmentation"},
    {models::Preset::Kind::kVideo, "VideoClassification"}};

std::string name_of(convkit::transforms::Interpolation interpolation) {
  return interpolation == convkit::transforms::Interpolation::kBicubic ? "bicubic" : "bilinear";
}

}  // namespace

TEST_CASE("the presets of all networks are Python's, and give its bits", "[presets]") {
  convkit::Checkpoint file = convkit::load_checkpoint(parity::folder() / "presets.safetensors");
  const auto python = nlohmann::json::parse(file.metadata.at("presets"));
  const Tensor image = file.state["image"];
  const Tensor clip = file.state["clip"];
  std::map<int64_t, bool> compared;
  std::size_t networks = 0;
  std::size_t differing_by_way = 0;
  for (const std::string& name : models::names()) {
    INFO(name);
    const std::vector<models::Preset> ours = models::presets(name);
    if (!python.contains(name)) {
      CHECK(ours.empty());
      continue;
    }
    ++networks;
    const nlohmann::json& theirs = python.at(name);
    REQUIRE(ours.size() == theirs.size());
    CHECK(models::preset(name).weights == theirs[0].at("weights").get<std::string>());
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const nlohmann::json& row = theirs[i];
      const models::Preset preset = models::preset(name, row.at("weights").get<std::string>());
      INFO(preset.weights);
      CHECK(preset.weights == ours[i].weights);
      CHECK(kKinds.at(preset.kind) == row.at("kind").get<std::string>());
      CHECK(preset.resize_size == row.at("resize").get<std::vector<int64_t>>());
      CHECK(preset.crop_size == row.at("crop").get<std::vector<int64_t>>());
      CHECK(name_of(preset.interpolation) == row.at("interpolation").get<std::string>());
      CHECK(preset.mean == row.at("mean").get<std::vector<double>>());
      CHECK(preset.std == row.at("std").get<std::vector<double>>());
      const int64_t result = row.at("result");
      if (compared[result]) continue;
      compared[result] = true;
      const std::string key = std::to_string(result);
      if (preset.kind == models::Preset::Kind::kVideo) {
        const Tensor video = preset(clip);
        parity::check_equal("video", video, file.state[key + ".tensor"]);
        parity::check_equal("videos", preset(torch::stack({clip, clip}))[1], video);
        continue;
      }
      const Tensor pillow = file.state[key + ".pillow"];
      parity::check_alive("pillow", pillow);
      parity::check_equal("pillow", preset(image), pillow);
      if (!file.state.contains(key + ".tensor")) continue;  // timm takes no tensors
      const Tensor tensor = file.state[key + ".tensor"];
      parity::check_equal("tensor", preset(image, Way::kTensor), tensor);
      if (!torch::equal(pillow, tensor)) ++differing_by_way;
    }
  }
  CHECK(networks == python.size());
  CHECK(networks > 70);
  CHECK(compared.size() > 20);
  CHECK(differing_by_way > 10);
}

TEST_CASE("presets refuse what they cannot take", "[presets][errors]") {
  CHECK(
      error([] { models::preset("resnet19"); }) ==
      "preset: expected a network with published weights, got \"resnet19\"; models::names() lists "
      "the networks");
  CHECK(error([] { models::preset("resnet50", "V1"); }) ==
        "preset: expected weights of resnet50 (DEFAULT, IMAGENET1K_V2, IMAGENET1K_V1), got \"V1\"");
  const models::Preset preset = models::preset("resnet18");
  CHECK(error([&] { preset({}); }) == "Preset: expected an image, got an undefined tensor");
  CHECK(error([&] { preset(torch::zeros({1, 8, 8}, torch::kByte)); }) ==
        "Preset: expected an image [..., 3, H, W], got [1, 8, 8]");
  CHECK(error([&] { preset(torch::zeros({3, 8, 8}, torch::kInt)); }) ==
        "Preset: expected an image of type Byte or of floating point, got Int");
  const models::Preset video = models::preset("r3d_18");
  CHECK(error([&] { video(torch::zeros({3, 8, 8}, torch::kByte)); }) ==
        "Preset: expected a video [..., T, 3, H, W], got [3, 8, 8]");
  CHECK(error([&] { video(torch::zeros({2, 3, 8, 8}, torch::kByte), Way::kPillow); }) ==
        "Preset: expected Way::kTensor for a video, got Way::kPillow");
}
