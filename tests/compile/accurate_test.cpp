// Plans by Winograd's algorithm that come too far from the module: engines that pretend to.
#include "compile/accurate.h"

#include "compile/compile_support.h"
#include "compile/engines/alternatives.h"

#include <torch/nn/modules/conv.h>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace convkit::detail;
using support::contains;
using Tensor = torch::Tensor;
using TileOf = std::map<std::string, int64_t>;

/// The keys of three convolutions, the widest first; the second one is 5x5, and has no tiles of 6x6.
std::vector<std::string> keys() {
  std::vector<std::string> result;
  for (const int64_t channels : {512, 128, 64}) {
    const int64_t kernel = channels == 128 ? 5 : 3;
    Geometry geometry;
    geometry.input = geometry.output = {1, channels, 48, 48};
    geometry.kernel = {kernel, kernel};
    geometry.before = geometry.after = {kernel / 2, kernel / 2};
    result.push_back(geometry.key());
  }
  return result;
}

/// The module's own result, off by `error` of its largest number.
class Pretending : public Engine {
 public:
  Pretending(Forward forward, TileOf tiles, double error)
      : forward_(std::move(forward)), tiles_(std::move(tiles)), error_(error) {}

  Tensors run(const Tensors& inputs, const Watch*) override {
    Tensor y = forward_(inputs)[0].clone();
    y.view(-1)[0] += error_ * y.abs().max();
    return {y};
  }
  void explain(PlanExplanation& plan) const override {
    for (const auto& [key, tile] : tiles_) {
      plan.choices[key] = tile == 0 ? "channels_last" : name_of(*winograd_of(tile));
    }
  }

 private:
  Forward forward_;
  TileOf tiles_;
  double error_;
};

struct Made {
  Proven proven;
  int64_t engines = 0;
  TileOf tiles;  ///< of the engine that was taken
};

/// What make_accurate() makes of convolutions that ask for their largest tiles, where `error` says how far a plan is off.
Made made(const std::function<double(const TileOf&)>& error, EngineOptions options = {}) {
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3));
  conv->eval();
  const Forward forward = [conv](const Tensors& x) mutable { return Tensors{conv(x[0])}; };
  const Proof proof(*conv, forward, {torch::randn({1, 3, 8, 8})});
  Made result;
  result.proven = make_accurate(proof, {1e-3, 1e-6}, options, [&](const EngineOptions& with) {
    ++result.engines;
    result.tiles.clear();
    for (const std::string& key : keys()) {
      const auto own = with.largest_tiles.find(key);
      const int64_t largest = own == with.largest_tiles.end() ? with.largest_tile : own->second;
      const bool given = with.choices.contains(key);
      result.tiles[key] = given ? 6 : std::min<int64_t>(largest, key == keys()[1] ? 4 : 6);
    }
    return std::make_unique<Pretending>(forward, result.tiles, error(result.tiles));
  });
  return result;
}

}  // namespace

TEST_CASE("a plan by winograd that is near enough is made once", "[compile][accurate]") {
  const torch::NoGradGuard no_grad;
  const Made result = made([](const TileOf&) { return 2.5e-5; });
  CHECK(result.engines == 1);
  CHECK(result.proven.remarks.empty());
}

TEST_CASE("a plan by winograd takes smaller tiles until it is near enough", "[compile][accurate]") {
  const torch::NoGradGuard no_grad;
  // The widest one alone is off, with any tile.
  const Made one = made([](const TileOf& tiles) { return tiles.at(keys()[0]) > 0 ? 1e-4 : 1e-6; });
  CHECK(one.tiles.at(keys()[0]) == 0);
  CHECK(one.tiles.at(keys()[2]) > 0);
  REQUIRE(one.proven.remarks.size() == 1);
  CHECK(contains(one.proven.remarks[0], "Winograd's algorithm by smaller tiles, or not, in "));
  CHECK(contains(one.proven.remarks[0], " of 3 convolutions"));
  // The largest ones are, which see eight rows.
  const Made eight = made([](const TileOf& tiles) {
    double error = 1e-6;
    for (const auto& [key, tile] : tiles) error += tile == (key == keys()[1] ? 4 : 6) ? 4e-5 : 0;
    return error;
  });
  CHECK(eight.tiles == TileOf{{keys()[0], 4}, {keys()[1], 2}, {keys()[2], 4}});
  // All of them are.
  const Made none = made([](const TileOf& tiles) {
    double error = 0;
    for (const auto& [key, tile] : tiles) error += tile > 0 ? 4e-5 : 0;
    return error;
  });
  for (const auto& [key, tile] : none.tiles) CHECK(tile == 0);
  REQUIRE(none.proven.remarks.size() == 1);
  CHECK(contains(none.proven.remarks[0], "in none of 3 convolutions"));
  CHECK(none.engines <= 9);
}

TEST_CASE("a plan by winograd may be off by 20 times what the direct one is",
          "[compile][accurate]") {
  const torch::NoGradGuard no_grad;
  const auto direct = [](const TileOf& tiles) { return tiles.at(keys()[0]) == 0; };
  const Made near = made([&](const TileOf& tiles) { return direct(tiles) ? 1e-5 : 1.9e-4; });
  CHECK(near.tiles.at(keys()[0]) == 0);  // the engine that was made last, to compare with
  CHECK(near.engines == 2);
  CHECK(near.proven.remarks.empty());
  // But never by more than any plan may.
  const Made far = made([&](const TileOf& tiles) { return direct(tiles) ? 2e-4 : 1.1e-3; });
  CHECK(far.engines > 2);
  CHECK_THROWS_AS(made([](const TileOf&) { return 1.1e-3; }), c10::Error);
}

TEST_CASE("a way that was given stays, however far the plan is off", "[compile][accurate]") {
  const torch::NoGradGuard no_grad;
  EngineOptions options;
  options.choices = {{keys()[0], "winograd 6x6"}};
  const Made result = made([](const TileOf&) { return 1e-4; }, options);
  CHECK(result.tiles == TileOf{{keys()[0], 6}, {keys()[1], 0}, {keys()[2], 0}});
}
