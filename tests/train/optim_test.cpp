#include <convkit/averaging.h>
#include <convkit/checkpoint.h>
#include <convkit/clip_grad.h>
#include <convkit/lr_policies.h>
#include <convkit/module.h>

#include "files/checkpoint_support.h"
#include "parity/reference.h"

#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include <cstring>

using namespace convkit;
using namespace convkit::optim;
using nlohmann::json;

namespace {

constexpr int kSteps = 200;
constexpr int kHalf = 100;

fs::path folder() {
  return parity::folder() / "optimizers";
}

const json& manifest() {
  static const json result = json::parse(support::read_file(folder() / "optimizers.json"));
  return result;
}

const StateDict& reference() {
  static const StateDict result =
      load_checkpoint((folder() / "optimizers.safetensors").string()).state;
  return result;
}

torch::Tensor expected(const std::string& name) {
  const torch::Tensor* found = reference().find(name);
  if (found == nullptr) FAIL("Python has not computed " << name);
  return *found;
}

/// Sets the options that a case names; each has to be there.
template <typename Options>
Options options_of(const json& dict) {
  Options o;
  for (const auto& [key, value] : dict.items()) {
    bool known = false;
    const auto take = [&](const char* name, auto& field) {
      if (key == name) {
        value.get_to(field);
        known = true;
      }
    };
#define TAKE(name) \
  if constexpr (requires { o.name; }) take(#name, o.name);
    TAKE(lr)
    TAKE(momentum)
    TAKE(dampening)
    TAKE(weight_decay)
    TAKE(nesterov)
    TAKE(maximize)
    TAKE(fused)
    TAKE(betas)
    TAKE(eps)
    TAKE(amsgrad)
    TAKE(decoupled_weight_decay)
    TAKE(alpha)
    TAKE(centered)
    TAKE(lr_decay)
    TAKE(initial_accumulator_value)
    TAKE(momentum_decay)
#undef TAKE
    if (!known) FAIL("no option " << key);
  }
  return o;
}

std::unique_ptr<Optimizer> optimizer_of(const json& entry, const parity::Tensors& params) {
  const auto make = [&]<typename Options>(Options) -> std::unique_ptr<Optimizer> {
    const json& groups = entry["groups"];
    if (groups.size() == 1) {
      return std::make_unique<OptimizerOf<Options>>(params, options_of<Options>(groups[0]));
    }
    std::vector<ParamGroup<Options>> given = {
        {{params.begin(), params.begin() + 3}, options_of<Options>(groups[0])},
        {{params.begin() + 3, params.end()}, options_of<Options>(groups[1])}};
    return std::make_unique<OptimizerOf<Options>>(given);
  };
  const std::string name = entry["optimizer"];
  if (name == "SGD") return make(SGDOptions());
  if (name == "Adam") return make(AdamOptions());
  if (name == "AdamW") return make(AdamWOptions());
  if (name == "RMSprop") return make(RMSpropOptions());
  if (name == "Adagrad") return make(AdagradOptions());
  if (name == "NAdam") return make(NAdamOptions());
  if (name == "RAdam") return make(RAdamOptions());
  FAIL("no optimizer " << name);
  return nullptr;
}

/// The training of tests/parity/optimizers.py.
struct Training {
  explicit Training(const json& given) : entry(given) {
    const std::string dtype = given["dtype"];
    for (int i = 0; i < 7; ++i) {
      params.push_back(expected(dtype + ".p" + std::to_string(i)).clone().requires_grad_());
    }
    optimizer = optimizer_of(given, params);
    if (given.value("schedule", "") == "step") {
      schedule = std::make_unique<StepLR>(*optimizer, StepLROptions{20, 0.7});
    } else if (given.contains("schedule")) {
      schedule = std::make_unique<OneCycleLR>(
          *optimizer, OneCycleLROptions{.max_lr = 0.05, .total_steps = kSteps});
    }
    for (const json& group : given["groups"]) negative &= group.value("maximize", false);
    x = expected(dtype + ".x").clone();
    y = expected(dtype + ".y").clone();
  }

  torch::Tensor forward(const torch::Tensor& input, int step) const {
    torch::Tensor h = torch::tanh(torch::linear(input, params[0], params[1]));
    for (int i = 0; i < 2; ++i) h = torch::relu(torch::linear(h, params[2], params[3]));
    h = torch::linear(h, params[4]);
    return entry.value("early", false) || step >= 5 ? h * params[5] : h;
  }

  torch::Tensor step(int number) {
    if (entry.contains("lr_at") && entry["lr_at"].contains(std::to_string(number))) {
      optimizer->set_lr(entry["lr_at"][std::to_string(number)].get<double>());
    }
    optimizer->zero_grad();
    const int64_t index = number % x.size(0);
    const torch::Tensor loss = torch::nn::functional::mse_loss(forward(x[index], number), y[index]);
    (negative ? -loss : loss).backward();
    torch::Tensor norm;
    if (entry.contains("clip_norm")) {
      const double order = entry["clip_norm"][1];
      norm = clip_grad_norm_(params, entry["clip_norm"][0],
                             order < 0 ? std::numeric_limits<double>::infinity() : order);
    }
    if (entry.contains("clip_value")) clip_grad_value_(params, entry["clip_value"]);
    optimizer->step();
    if (schedule != nullptr && number < kSteps) schedule->step();
    return norm;
  }

  Tree whole() const {
    Tree result = Tree::dict();
    Tree values = Tree::list();
    for (const torch::Tensor& param : params) values.add(param.detach().clone());
    result.set("params", values);
    result.set("optimizer", optimizer->state_dict());
    result.set("schedule", schedule != nullptr ? schedule->state_dict() : Tree());
    return result;
  }

  void load(const Tree& whole) {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < params.size(); ++i) {
      params[i].copy_(whole.at("params").items().at(i).tensor());
    }
    optimizer->load_state_dict(whole.at("optimizer"));
    if (schedule != nullptr) schedule->load_state_dict(whole.at("schedule"));
  }

  /// The first tensor that is not Python's; nothing where all are.
  std::string difference(const std::string& prefix) const {
    std::size_t count = params.size();
    for (std::size_t i = 0; i < params.size(); ++i) {
      const std::string name = prefix + "p" + std::to_string(i);
      if (!torch::equal(params[i].detach(), expected(name))) return name;
    }
    const Tree state = optimizer->state_dict();
    for (const Tree::Entry& own : state.at("state").entries()) {
      for (const Tree::Entry& tensor : own.value.entries()) {
        const std::string name = prefix + "s" + std::to_string(std::get<int64_t>(own.key)) + "." +
                                 std::get<std::string>(tensor.key);
        const torch::Tensor python = expected(name);
        if (tensor.value.tensor().dtype() != python.dtype() ||
            !torch::equal(tensor.value.tensor(), python)) {
          return name;
        }
        ++count;
      }
    }
    std::size_t theirs = 0;
    for (const auto& one : reference()) {
      theirs += one.key().starts_with(prefix) && !one.key().ends_with(".norm") ? 1 : 0;
    }
    return theirs == count ? "" : prefix + ": another number of tensors";
  }

  json entry;
  parity::Tensors params;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<LRScheduler> schedule;
  bool negative = true;
  torch::Tensor x;
  torch::Tensor y;
};

/// Makes the schedule of a name, for two groups.
std::shared_ptr<Schedule> schedule_of(const std::string& name, Optimizer& o) {
  using std::make_shared;
  if (name == "step") return make_shared<StepLR>(o, StepLROptions{30, 0.3});
  if (name == "multi_step") {
    return make_shared<MultiStepLR>(o, MultiStepLROptions{{17, 40, 40, 200}, 0.3});
  }
  if (name == "exponential") return make_shared<ExponentialLR>(o, ExponentialLROptions{0.99});
  if (name == "cosine") {
    return make_shared<CosineAnnealingLR>(o, CosineAnnealingLROptions{70, 0.001});
  }
  if (name == "cosine_whole") {
    return make_shared<CosineAnnealingLR>(o, CosineAnnealingLROptions{300});
  }
  if (name == "linear") return make_shared<LinearLR>(o, LinearLROptions{0.3, 0.9, 130});
  if (name == "constant") return make_shared<ConstantLR>(o, ConstantLROptions{0.3, 77});
  if (name == "polynomial") return make_shared<PolynomialLR>(o, PolynomialLROptions{250, 0.9});
  if (name == "lambda") {
    return make_shared<LambdaLR>(
        o, std::vector<LambdaLR::Function>{
               [](int64_t epoch) { return std::pow(0.95, static_cast<double>(epoch)); },
               [](int64_t epoch) { return 1 / (1 + static_cast<double>(epoch)); }});
  }
  using Parts = std::vector<std::shared_ptr<LRScheduler>>;
  if (name == "sequential") {
    const Parts parts = {make_shared<LinearLR>(o, LinearLROptions{0.1, 1.0, 7}),
                         make_shared<CosineAnnealingLR>(o, CosineAnnealingLROptions{60}),
                         make_shared<ExponentialLR>(o, ExponentialLROptions{0.98}),
                         make_shared<MultiStepLR>(o, MultiStepLROptions{{10, 20}})};
    return make_shared<SequentialLR>(o, parts, std::vector<int64_t>{7, 70, 200});
  }
  if (name == "nested") {
    const Parts first = {make_shared<ConstantLR>(o, ConstantLROptions{0.2, 3}),
                         make_shared<PolynomialLR>(o, PolynomialLROptions{30, 2.0})};
    const auto inner = make_shared<SequentialLR>(o, first, std::vector<int64_t>{4});
    const Parts parts = {
        inner,
        make_shared<CosineAnnealingWarmRestarts>(o, CosineAnnealingWarmRestartsOptions{20, 2}),
        make_shared<StepLR>(o, StepLROptions{9, 0.7}),
        make_shared<ConstantLR>(o, ConstantLROptions{0.3, 11}),
        make_shared<LinearLR>(o, LinearLROptions{0.25, 0.75, 9}),
        make_shared<PolynomialLR>(o, PolynomialLROptions{12, 1.5})};
    return make_shared<SequentialLR>(o, parts, std::vector<int64_t>{40, 120, 180, 210, 240});
  }
  if (name == "one_cycle") {
    return make_shared<OneCycleLR>(
        o, OneCycleLROptions{.max_lr = std::vector{0.1, 0.3}, .total_steps = 301});
  }
  if (name == "one_cycle_linear") {
    return make_shared<OneCycleLR>(o, OneCycleLROptions{.max_lr = 0.2,
                                                        .total_steps = 310,
                                                        .pct_start = 0.25,
                                                        .anneal_strategy = "linear",
                                                        .base_momentum = 0.8,
                                                        .max_momentum = std::vector{0.9, 0.99},
                                                        .div_factor = 10,
                                                        .final_div_factor = 100,
                                                        .three_phase = true});
  }
  if (name == "one_cycle_fixed") {
    return make_shared<OneCycleLR>(
        o, OneCycleLROptions{.max_lr = 0.2, .total_steps = 301, .cycle_momentum = false});
  }
  if (name == "warm_restarts") {
    return make_shared<CosineAnnealingWarmRestarts>(o, CosineAnnealingWarmRestartsOptions{40});
  }
  if (name == "warm_restarts_longer") {
    return make_shared<CosineAnnealingWarmRestarts>(
        o, CosineAnnealingWarmRestartsOptions{7, 3, 0.002});
  }
  if (name == "plateau") {
    return make_shared<ReduceLROnPlateau>(
        o, ReduceLROnPlateauOptions{
               .factor = 0.5, .patience = 4, .cooldown = 3, .min_lr = std::vector{0.001, 0.0}});
  }
  if (name == "plateau_max") {
    return make_shared<ReduceLROnPlateau>(o, ReduceLROnPlateauOptions{.mode = "max",
                                                                      .factor = 0.7,
                                                                      .patience = 2,
                                                                      .threshold = 0.05,
                                                                      .threshold_mode = "abs",
                                                                      .min_lr = 0.002});
  }
  FAIL("no schedule " << name);
  return nullptr;
}

/// An optimizer of two groups with a schedule, and what they set.
struct Scheduled {
  explicit Scheduled(const std::string& name) {
    const auto param = [] { return torch::zeros({1}).requires_grad_(); };
    if (name.ends_with("linear") || name.ends_with("step")) {
      optimizer = std::make_unique<Adam>(
          std::vector<Adam::Group>{{{param()}, {.lr = 0.1}}, {{param()}, {.lr = 0.03}}});
    } else {
      optimizer = std::make_unique<SGD>(std::vector<SGD::Group>{
          {{param()}, {.lr = 0.1, .momentum = 0.9}}, {{param()}, {.lr = 0.03, .momentum = 0.9}}});
    }
    schedule = schedule_of(name, *optimizer);
  }

  void step(int number) const {
    if (auto* plateau = dynamic_cast<ReduceLROnPlateau*>(schedule.get())) {
      plateau->step(expected("metrics")[number].item<double>());
    } else {
      dynamic_cast<LRScheduler&>(*schedule).step();
    }
  }

  bool is_row(const torch::Tensor& row) const {
    std::vector<double> numbers;
    for (std::size_t group = 0; group < 2; ++group) {
      numbers.push_back(optimizer->lr(group));
      numbers.push_back(*optimizer->momentum(group));
    }
    return std::memcmp(numbers.data(), row.const_data_ptr<double>(), 4 * sizeof(double)) == 0;
  }

  std::unique_ptr<Optimizer> optimizer;
  std::shared_ptr<Schedule> schedule;
};

}  // namespace

TEST_CASE("every optimizer trains as Python's does, bit for bit", "[optim][parity]") {
  fs::create_directories(folder() / "back");
  REQUIRE(manifest()["cases"].size() >= 76);
  for (const json& entry : manifest()["cases"]) {
    const std::string key =
        entry["name"].get<std::string>() + "." + entry["dtype"].get<std::string>();
    INFO(key);
    Training training(entry);
    for (int step = 1; step <= kSteps; ++step) {
      const torch::Tensor norm = training.step(step);
      if (step == 1 || step == 2 || step == 10 || step == 50 || step == kSteps) {
        const std::string prefix = key + "." + std::to_string(step) + ".";
        CHECK(training.difference(prefix).empty());
        if (norm.defined()) CHECK(torch::equal(norm, expected(prefix + "norm")));
      }
      if (step == kHalf) {
        save_tree((folder() / "back" / (key + ".pt")).string(), training.whole());
      }
    }
    Training resumed(entry);
    resumed.load(load_tree((folder() / (key + ".pt")).string()));
    for (int step = kHalf + 1; step <= kSteps; ++step) resumed.step(step);
    CHECK(resumed.difference(key + ".resumed.").empty());
  }
}

TEST_CASE("every schedule gives Python's doubles, and goes on with Python's state",
          "[optim][parity]") {
  fs::create_directories(folder() / "back");
  REQUIRE(manifest()["schedules"].size() >= 18);
  for (const std::string name : manifest()["schedules"]) {
    INFO(name);
    const torch::Tensor rows = expected("schedule." + name).clone();
    Scheduled whole(name);
    CHECK(whole.is_row(rows[0]));
    int differ = 0;
    for (int step = 0; step + 1 < rows.size(0); ++step) {
      whole.step(step);
      differ += whole.is_row(rows[step + 1]) ? 0 : 1;
      if (step + 1 == 150) {
        Tree both = Tree::dict();
        both.set("optimizer", whole.optimizer->state_dict());
        both.set("schedule", whole.schedule->state_dict());
        save_tree((folder() / "back" / ("schedule." + name + ".pt")).string(), both);
      }
    }
    CHECK(differ == 0);
    Scheduled resumed(name);
    const Tree python = load_tree((folder() / ("schedule." + name + ".pt")).string());
    resumed.optimizer->load_state_dict(python.at("optimizer"));
    resumed.schedule->load_state_dict(python.at("schedule"));
    CHECK(resumed.is_row(rows[150]));
    for (int step = 150; step + 1 < rows.size(0); ++step) {
      resumed.step(step);
      differ += resumed.is_row(rows[step + 1]) ? 0 : 1;
    }
    CHECK(differ == 0);
  }
}

TEST_CASE("averages of weights, and the statistics of batch norms, are Python's",
          "[optim][parity]") {
  for (const std::string name : {"swa", "swa_buffers", "ema", "ema_buffers"}) {
    for (const std::string dtype : {"float32", "float64", "bfloat16"}) {
      const std::string key = "average." + name + "." + dtype + ".";
      INFO(key);
      Sequential net{torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 3, 3)),
                     torch::nn::BatchNorm2d(3)};
      net->to(expected(key + "x").scalar_type());
      AveragedModelOptions options;
      if (name.starts_with("ema")) options.ema_decay = 0.9;
      options.use_buffers = name.ends_with("buffers");
      AveragedModel average(*net, options);
      const auto check = [&](const std::string& prefix) {
        const StateDict ours = state_dict(average);
        CHECK(ours.size() == 8);
        for (const auto& entry : ours) {
          INFO(entry.key());
          CHECK(torch::equal(entry.value(), expected(prefix + entry.key())));
        }
      };
      for (int i = 0; i < 5; ++i) {
        const std::string number = std::to_string(i);
        StateDict given;
        for (const auto& entry : state_dict(*net)) {
          given.insert(entry.key(), expected(key + "given" + number + "." + entry.key()));
        }
        load_state_dict(*net, given);
        average.update_parameters(*net);
        check(key + number + ".");
      }
      update_bn(average, [&] {
        for (const torch::Tensor& x : expected(key + "x").clone().unbind()) average.forward(x);
      });
      check(key + "bn.");
      CHECK(average.is_training());
    }
  }
}

TEST_CASE("bad options, parameters and states are refused with a sentence", "[optim][errors]") {
  const std::vector<torch::Tensor> params = {torch::zeros({2}).requires_grad_()};
  const auto says = [](const auto& f, const std::string& text) {
    CHECK_THAT(support::error(f), Catch::Matchers::ContainsSubstring(text));
  };
  says([&] { SGD(params, {.lr = -1}); }, "SGD: expected lr >= 0, got -1");
  says([&] { SGD(params, {.nesterov = true}); },
       "SGD: expected a momentum and no dampening with nesterov, got 0 and 0");
  says([&] { Adam(params, {.betas = {0.9, 1}}); },
       "Adam: expected betas >= 0 and < 1, got 0.9 and 1");
  says([&] { AdamW(params, {.weight_decay = -0.5}); },
       "AdamW: expected weight_decay >= 0, got -0.5");
  says([&] { RMSprop(params, {.alpha = -1}); }, "RMSprop: expected alpha >= 0, got -1");
  says([&] { Adagrad(params, {.initial_accumulator_value = -1}); },
       "Adagrad: expected initial_accumulator_value >= 0, got -1");
  says([&] { NAdam(params, {.momentum_decay = -1}); },
       "NAdam: expected momentum_decay >= 0, got -1");
  says([&] { RAdam(params, {.eps = -1}); }, "RAdam: expected eps >= 0, got -1");
  says([&] { SGD(std::vector<torch::Tensor>{}); }, "SGD: expected parameters, got none");
  says([&] { SGD({params[0] * 2}); }, "SGD: expected leaves of the graph");
  says([&] { SGD({{params, {}}, {params, {}}}); }, "SGD: expected each parameter in one group");
  says([&] { SGD({torch::zeros({2}, torch::kComplexFloat)}); },
       "SGD: expected real parameters, got c10::complex<float>");

  SGD sgd(params, {.lr = 0.1, .momentum = 0.9});
  params[0].mutable_grad() = torch::ones({2}).to_sparse();
  says([&] { sgd.step(); }, "SGD: expected dense gradients, got a Sparse one");
  params[0].mutable_grad() = torch::ones({2});
  const torch::Tensor loss = sgd.step([] {
    CHECK(torch::GradMode::is_enabled());
    return torch::ones({});
  });
  CHECK(loss.item<float>() == 1);
  sgd.zero_grad(false);
  CHECK(torch::equal(params[0].grad(), torch::zeros({2})));
  sgd.zero_grad();
  CHECK_FALSE(params[0].grad().defined());

  const torch::Tensor half = torch::zeros({64}, torch::kBFloat16).requires_grad_();
  half.mutable_grad() = torch::ones({64}, torch::kBFloat16);
  says([&] { SGD({half}, {.fused = true}).step(); },
       "SGD: expected float32 or float64 parameters with fused on the CPU, got c10::BFloat16");

  const Tree before = sgd.state_dict();
  says([&] { sgd.load_state_dict(Adam(params).state_dict()); }, "no error");  // it has no state
  Adam adam(params);
  params[0].mutable_grad() = torch::ones({2});
  adam.step();
  says([&] { sgd.load_state_dict(adam.state_dict()); },
       "SGD: expected the state of this optimizer, got another one's");
  adam.options().amsgrad = true;
  says([&] { adam.step(); }, "Adam: expected the state max_exp_avg_sq of each parameter");
  says([&] { sgd.load_state_dict(Tree::dict()); }, "Tree: expected the key \"param_groups\"");
  SGD other({torch::zeros({3}).requires_grad_()}, {.momentum = 0.5});
  says([&] { other.load_state_dict(before); },
       "SGD: expected the state momentum_buffer in shape [3], got [2]");
  CHECK(other.options().momentum == 0.5);
  says([&] { StepLR(sgd, {0}); }, "StepLR: expected step_size >= 1, got 0");

  // Of states that others have written.
  const auto with = [](Tree state, const char* name, const Tree& value) {
    state.set(name, value);
    return state;
  };
  CosineAnnealingLR cosine(sgd, {.T_max = 5});
  const Tree good = cosine.state_dict();
  says([&] { cosine.load_state_dict(with(good, "T_max", 0)); },
       "load_state_dict: expected a whole number T_max >= 1, got 0");
  says([&] { cosine.load_state_dict(with(good, "last_epoch", 1e300)); },
       "load_state_dict: expected a whole number last_epoch, got 1e+300");
  says([&] { cosine.load_state_dict(with(good, "last_epoch", NAN)); }, "whole number last_epoch");
  says([&] { cosine.load_state_dict(with(good, "base_lrs", Tree::list())); },
       "load_state_dict: expected 1 numbers in base_lrs, as this schedule has, got 0");
  CHECK(cosine.last_epoch() == 0);
  cosine.load_state_dict(good);
  StepLR every(sgd, {.step_size = 2});
  says([&] { every.load_state_dict(with(every.state_dict(), "step_size", 0)); }, "step_size >= 1");
  const auto part = [&](int64_t T_max) {
    return std::make_shared<CosineAnnealingLR>(sgd, CosineAnnealingLROptions{.T_max = T_max});
  };
  SequentialLR sequence(sgd, {part(3), part(4)}, {2});
  says(
      [&] {
        sequence.load_state_dict(with(sequence.state_dict(), "_milestones", Tree::list({1, 2, 3})));
      },
      "load_state_dict: expected 1 numbers in _milestones, as this schedule has, got 3");

  Adam second(params);
  Tree lacking = adam.state_dict();
  Tree states = lacking.at("state");
  Tree of_first = Tree::dict();
  of_first.set("step", 1);
  states.set(0, of_first);
  lacking.set("state", states);
  second.load_state_dict(lacking);
  const torch::Tensor unchanged = params[0].detach().clone();
  says([&] { second.step(); }, "Adam: expected the state exp_avg of each parameter, got none");
  CHECK(torch::equal(params[0], unchanged));
  says([&] { get_total_norm({torch::full({2}, INFINITY)}, 2, true); },
       "get_total_norm: expected a finite norm of order 2, got inf");
  Adagrad adagrad(params);
  says([&] { OneCycleLR(adagrad, {.max_lr = 1, .total_steps = 9}); },
       "OneCycleLR: expected an optimizer with a momentum or betas");
}
