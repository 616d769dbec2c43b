#include <convkit/amp.h>
#include <convkit/clip_grad.h>
#include <convkit/models.h>

#include "files/checkpoint_support.h"
#include "parity/reference.h"

#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>

#include <ATen/autocast_mode.h>

using namespace convkit;
using namespace convkit::amp;
using nlohmann::json;

namespace {

constexpr int kSteps = 50;
constexpr int kHalf = 25;

fs::path folder() {
  return parity::folder() / "amp";
}

const json& manifest() {
  static const json result = json::parse(support::read_file(folder() / "amp.json"));
  return result;
}

/// A copy, as parity::Case has it.
torch::Tensor expected(const std::string& name) {
  static const StateDict reference = load_checkpoint((folder() / "amp.safetensors").string()).state;
  const torch::Tensor* found = reference.find(name);
  if (found == nullptr) FAIL("Python has not computed " << name);
  return found->clone();
}

torch::Dtype dtype_of(const std::string& name) {
  return name == "bfloat16" ? torch::kBFloat16 : torch::kHalf;
}

std::unique_ptr<optim::Optimizer> optimizer_of(const json& given, const parity::Tensors& params) {
  const json& o = given[1];
  if (given[0] == "SGD") {
    return std::make_unique<optim::SGD>(
        params, optim::SGDOptions{
                    .lr = o["lr"], .momentum = o["momentum"], .weight_decay = o["weight_decay"]});
  }
  REQUIRE(given[0] == "AdamW");
  return std::make_unique<optim::AdamW>(
      params,
      optim::AdamWOptions{
          .lr = o["lr"], .weight_decay = o["weight_decay"], .fused = o.value("fused", false)});
}

/// The training of tests/parity/amp.py.
struct Training {
  explicit Training(const json& given) : entry(given), dtype(dtype_of(given["dtype"])) {
    StateDict weights;
    for (const auto& own : state_dict(*net)) {
      weights.insert(own.key(), expected("start." + own.key()));
    }
    load_state_dict(*net, weights);
    if (entry.contains("head")) linear->to(dtype_of(entry["head"]));
    const parity::Tensors params = net->parameters();
    if (entry.contains("second")) {
      optimizers.push_back(optimizer_of(entry["optimizer"], {params.begin(), params.begin() + 4}));
      optimizers.push_back(optimizer_of(entry["second"], {params.begin() + 4, params.end()}));
    } else {
      optimizers.push_back(optimizer_of(entry["optimizer"], params));
    }
    if (!entry.contains("scaler")) return;
    const json& s = entry["scaler"];
    GradScalerOptions options;
    options.init_scale = s.value("init_scale", options.init_scale);
    options.growth_factor = s.value("growth_factor", options.growth_factor);
    options.backoff_factor = s.value("backoff_factor", options.backoff_factor);
    options.growth_interval = s.value("growth_interval", options.growth_interval);
    options.enabled = s.value("enabled", true);
    scaler.emplace(options);
  }

  torch::Tensor loss(const torch::Tensor& input, const torch::Tensor& target) {
    const Autocast autocast(torch::kCPU,
                            {.dtype = dtype, .cache_enabled = entry.value("cache", true)});
    if (!entry.value("nested", false)) return torch::cross_entropy_loss(net(input), target);
    torch::Tensor head = body(input);
    CHECK(head.scalar_type() == dtype);
    {
      const Autocast off(torch::kCPU, {.enabled = false});
      head = linear(head.to(torch::kFloat));
      CHECK(head.scalar_type() == torch::kFloat);
    }
    const Autocast again(torch::kCPU);
    return torch::cross_entropy_loss(head + net(input), target);
  }

  /// What Python has in a row: the loss, and the scaler's numbers.
  std::vector<double> step(int number) {
    for (const auto& optimizer : optimizers) optimizer->zero_grad();
    const int64_t index = number % x.size(0);
    const torch::Tensor value = loss(x[index], y[index]);
    const std::string key = std::to_string(number);
    if (!scaler) {
      value.backward();
      optimizers[0]->step();
      return {value.item<double>()};
    }
    scaler->scale(value).backward();
    const bool bad = entry.contains("bad") && entry["bad"].contains(key);
    if (bad) {
      const std::string text = entry["bad"][key];
      net->parameters()[0].grad()[1][0][2][1] = std::stod(text);
    }
    if (entry.contains("clip")) {
      scaler->unscale_(*optimizers[0]);
      optim::clip_grad_norm_(net->parameters(), entry["clip"]);
    }
    std::size_t skipped = 0;
    for (const auto& optimizer : optimizers) skipped += scaler->step(*optimizer) ? 0 : 1;
    if (bad) CHECK(skipped == 1);  // the first optimizer's step, where there are two
    all_skipped += skipped;
    const bool set = entry.contains("set") && entry["set"].contains(key);
    scaler->update(set ? std::optional<double>(entry["set"][key].get<double>()) : std::nullopt);
    const Tree state = scaler->state_dict();
    const Tree* tracker = state.find("_growth_tracker");
    return {value.item<double>(), scaler->get_scale(), tracker == nullptr ? 0 : tracker->number()};
  }

  /// Whether weights, statistics and gradients after a step are Python's.
  void check(int step) {
    const std::string number = std::to_string(step);
    const std::string prefix = entry["name"].get<std::string>() + "." + number + ".";
    for (const auto& own : state_dict(*net)) {
      parity::check_equal(prefix + own.key(), own.value(), expected(prefix + own.key()));
    }
    // Of a step that is left out, Python's fused kernels keep the scaled gradients.
    if (entry["optimizer"][1].contains("fused") && entry["bad"].contains(number)) return;
    for (const auto& own : net->named_parameters()) {
      const std::string key = prefix + "grad." + own.key();
      parity::check_equal(key, own.value().grad().nan_to_num(7), expected(key).nan_to_num(7));
    }
  }

  Tree whole() {
    Tree states = Tree::list();
    for (const auto& optimizer : optimizers) states.add(optimizer->state_dict());
    Tree result = Tree::dict();
    result.set("model", state_dict(*net));
    result.set("optimizers", states);
    result.set("scaler", scaler ? scaler->state_dict() : Tree());
    return result;
  }

  void load(const Tree& whole) {
    load_state_dict(*net, whole.at("model").state_dict());
    for (std::size_t i = 0; i < optimizers.size(); ++i) {
      optimizers[i]->load_state_dict(whole.at("optimizers").items().at(i));
    }
    if (scaler) scaler->load_state_dict(whole.at("scaler"));
  }

  json entry;
  torch::Dtype dtype;
  torch::nn::Linear linear{16, 5};
  Sequential net{torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3).padding(1)),
                 torch::nn::BatchNorm2d(8),
                 torch::nn::ReLU(),
                 torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 16, 3).stride(2)),
                 torch::nn::BatchNorm2d(16),
                 torch::nn::ReLU(),
                 torch::nn::AdaptiveAvgPool2d(1),
                 torch::nn::Flatten(),
                 linear};
  std::vector<std::unique_ptr<optim::Optimizer>> optimizers;
  std::optional<GradScaler> scaler;
  std::size_t all_skipped = 0;
  torch::Tensor x = expected("x");
  torch::Tensor y = expected("y");

 private:
  torch::Tensor body(torch::Tensor h) {
    for (std::size_t i = 0; i + 1 < net->size(); ++i) h = forward_child(*net->children()[i], h);
    return h;
  }
};

}  // namespace

TEST_CASE("trainings in lower types have Python's losses, scales and weights, bit for bit",
          "[amp][parity]") {
  fs::create_directories(folder() / "back");
  REQUIRE(manifest()["cases"].size() >= 15);
  for (const json& entry : manifest()["cases"]) {
    const std::string name = entry["name"];
    INFO(name);
    const torch::Tensor rows = expected(name + ".rows");
    const auto is_row = [&](int step, const std::vector<double>& row) {
      return torch::equal(torch::tensor(row, torch::kDouble), rows[step - 1]);
    };
    int differ = 0;
    Training training(entry);
    for (int step = 1; step <= kSteps; ++step) {
      differ += is_row(step, training.step(step)) ? 0 : 1;
      if (step == 1 || step == 2 || step == 10 || step == kHalf || step == kSteps) {
        training.check(step);
      }
      if (step == kHalf) {
        save_tree((folder() / "back" / (name + ".pt")).string(), training.whole());
      }
    }
    CHECK(differ == 0);
    if (name == "scaled.overflow") CHECK(training.all_skipped > 2);
    Training resumed(entry);
    resumed.load(load_tree((folder() / (name + ".pt")).string()));
    for (int step = kHalf + 1; step <= kSteps; ++step) {
      differ += is_row(step, resumed.step(step)) ? 0 : 1;
    }
    CHECK(differ == 0);
    resumed.check(kSteps);
  }
}

TEST_CASE("networks give what torchvision's give in lower types, forward and backward",
          "[amp][parity]") {
  for (const std::string name : manifest()["networks"]) {
    for (const std::string dtype : {"bfloat16", "float16"}) {
      torch::manual_seed(0);
      auto net = models::create(name, {.num_classes = 10});
      torch::Tensor out;
      {
        const Autocast autocast(torch::kCPU, {.dtype = dtype_of(dtype)});
        out = net(expected("networks.x"));
      }
      out.to(torch::kFloat).square().mean().backward();
      const std::string key = "networks." + name + "." + dtype;
      const torch::Tensor python = expected(key + ".out");
      parity::check_alive(key, python);
      parity::check_equal(key + ".out", out.detach(), python);
      parity::check_equal(key + ".grad", net->parameters()[0].grad(), expected(key + ".grad"));
    }
  }
}

TEST_CASE("a guard puts back what it found, and the outermost lets go of the weights", "[amp]") {
  const auto state = [] {
    return std::tuple(at::autocast::is_autocast_enabled(torch::kCPU),
                      at::autocast::get_autocast_dtype(torch::kCPU),
                      at::autocast::is_autocast_cache_enabled());
  };
  const auto before = state();
  CHECK(before == std::tuple(false, torch::kBFloat16, true));
  const torch::Tensor x = torch::rand({2, 3});
  const torch::Tensor w = torch::rand({3, 3}).requires_grad_();
  const auto type = [&] { return torch::mm(x, w).scalar_type(); };
  {
    const Autocast half(torch::kCPU, {.dtype = torch::kHalf, .cache_enabled = false});
    CHECK(type() == torch::kHalf);
    {
      const Autocast same(torch::kCPU);
      CHECK(state() == std::tuple(true, torch::kHalf, false));
    }
    CHECK_THROWS([&] {
      const Autocast off(torch::kCPU, {.enabled = false});
      CHECK(type() == torch::kFloat);
      TORCH_CHECK(false, "left by an error");
    }());
    CHECK(state() == std::tuple(true, torch::kHalf, false));
  }
  CHECK(state() == before);
  CHECK(type() == torch::kFloat);
  const auto uses = [&] { return w.weak_use_count(); };  // the cache has weak pointers
  const auto unused = uses();
  {
    const Autocast outer(torch::kCPU);
    torch::mm(x, w);
    CHECK(uses() > unused);
    {
      const Autocast inner(torch::kCPU);
    }
    CHECK(uses() > unused);
  }
  CHECK(uses() == unused);
}

TEST_CASE("scalers and guards refuse what Python does, with a sentence", "[amp][errors]") {
  const auto says = [](const auto& f, const std::string& text) {
    CHECK(support::error(f) == text);
  };
  says([] { Autocast(torch::kCPU, {.dtype = torch::kDouble}); },
       "Autocast: expected dtype bfloat16 or float16, got double");
  says([] { const Autocast autocast(torch::kMeta); },
       "Autocast: expected a device with autocast, got meta");
  CHECK_FALSE(at::autocast::is_autocast_enabled(torch::kCPU));
  says([] { GradScaler({.growth_factor = 1}); }, "GradScaler: expected growth_factor > 1, got 1");
  says([] { GradScaler({.backoff_factor = 1.5}); },
       "GradScaler: expected backoff_factor < 1, got 1.5");

  const torch::Tensor p = torch::ones({2}).requires_grad_();
  optim::SGD sgd({p}, {.lr = 1});
  GradScaler scaler({.init_scale = 4, .growth_interval = 1});
  CHECK(scaler.get_scale() == 4);
  says([&] { scaler.unscale_(sgd); },
       "GradScaler: expected scale() before unscale_(), got no loss yet");
  says([&] { scaler.step(sgd); }, "GradScaler: expected scale() before step(), got no loss yet");
  says([&] { scaler.update(); }, "GradScaler: expected scale() before update(), got no loss yet");
  const torch::Tensor scaled = scaler.scale(p.sum());
  says([&] { scaler.update(); }, "GradScaler: expected step() before update(), got none");
  says(
      [&] { scaler.step(sgd); },
      "GradScaler: expected an optimizer with gradients, got none; step() stands after backward()");
  scaled.backward();
  scaler.update(8.0);
  CHECK(scaler.get_scale() == 8);
  scaler.unscale_(sgd);
  CHECK(torch::equal(p.grad(), torch::full({2}, 0.5)));  // 4 / 8
  says([&] { scaler.unscale_(sgd); },
       "GradScaler: expected one unscale_() of an optimizer, before its step(), got one after "
       "unscale_(); update() ends an iteration");
  CHECK(scaler.step(sgd));
  CHECK(torch::equal(p.detach(), torch::full({2}, 0.5)));
  says([&] { scaler.step(sgd); },
       "GradScaler: expected one step() of an optimizer, got a second; update() ends an iteration");
  says([&] { scaler.unscale_(sgd); },
       "GradScaler: expected one unscale_() of an optimizer, before its step(), got one after "
       "step(); update() ends an iteration");
  scaler.update();
  CHECK(scaler.get_scale() == 16);

  p.mutable_grad() = torch::ones({2}).to_sparse();
  says([&] { scaler.step(sgd); }, "GradScaler: expected dense gradients, got a Sparse one");
  const torch::Tensor half = torch::ones({2, 3}, torch::kHalf).requires_grad_();
  optim::SGD low({half});
  half.mutable_grad() = torch::ones({2, 3}, torch::kHalf);
  says([&] { scaler.unscale_(low); },
       "GradScaler: expected no gradients in float16, got one of shape [2, 3]; keep the parameters "
       "in float32, and compute in Autocast");

  GradScaler off({.growth_factor = 0, .enabled = false});
  CHECK(off.get_scale() == 1);
  CHECK(off.state_dict().entries().empty());
  const Tree before = scaler.state_dict();
  says([&] { scaler.load_state_dict(off.state_dict()); },
       "GradScaler: expected the state of a scaler, got an empty one, as a scaler that is not "
       "enabled gives it");
  Tree other = before;
  other.set("scale", 2.0);
  other.set("_growth_tracker", 1.5);
  CHECK_THAT(support::error([&] { scaler.load_state_dict(other); }),
             Catch::Matchers::ContainsSubstring("Tree: expected"));
  CHECK(scaler.get_scale() == 16);
  off.load_state_dict(other);
  CHECK(off.get_scale() == 1);
}
