// What compile() makes of every network of the collection, held by a stored table.
#include <convkit/models.h>

#include "compile/compile_support.h"
#include "compile/lowering.h"

#include <ATen/Parallel.h>

namespace {

using namespace convkit;

const std::vector<std::string> kFamilies = {"resnet18",           "mobilenetv1_100",
                                            "mobilenet_v2",       "mobilenet_v3_small",
                                            "efficientnet_b0",    "convnext_tiny",
                                            "unet_resnet18",      "squeezenet1_1",
                                            "googlenet",          "densenet121",
                                            "shufflenet_v2_x0_5", "mnasnet0_5",
                                            "regnet_y_400mf",     "lraspp_mobilenet_v3_large"};

bool is_of_families(const std::string& name) {
  return std::find(kFamilies.begin(), kFamilies.end(), name) != kFamilies.end();
}

/// An image, or a video.
torch::Tensor input_of(const std::string& name) {
  if (name == "s3d") return torch::randn({1, 3, 16, 224, 224});
  const bool is_video = name == "r3d_18" || name == "mc3_18" || name == "r2plus1d_18";
  return is_video ? torch::randn({1, 3, 8, 112, 112}) : torch::randn({1, 3, 224, 224});
}

/// At 224 x 224 pixels, where convolutions are fused that are too large for a cache apart.
void check_lowering(const std::string& name) {
  INFO(name);
  torch::manual_seed(1);
  models::Network network = models::create(name);
  network->eval();
  const Compiled fast = compile(network, input_of(name), support::fixed_rules());
  const PlanExplanation plan = support::plan_of(fast);
  CHECK_FALSE(plan.fell_back);
  support::check_stored(name, support::counts_of(plan));
}

}  // namespace

TEST_CASE("a network of each family is lowered as the table says", "[compile][lowering]") {
  if (!support::has_onednn()) SKIP("the table is oneDNN's");
  at::set_num_threads(1);
  for (const std::string& name : kFamilies) check_lowering(name);
}

TEST_CASE("the table has every network of the collection", "[compile][lowering]") {
  const std::vector<std::string> stored = support::stored_names();
  for (const std::string& name : models::names()) {
    INFO(name);
    CHECK(std::find(stored.begin(), stored.end(), name) != stored.end());
  }
}

TEST_CASE("every other network is lowered as the table says", "[.][all_lowering]") {
  if (!support::has_onednn()) SKIP("the table is oneDNN's");
  at::set_num_threads(1);
  for (const std::string& name : models::names()) {
    if (!is_of_families(name)) check_lowering(name);
  }
}
