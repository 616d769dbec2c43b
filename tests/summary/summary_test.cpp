#include <convkit/convkit.h>

#include "support.h"

#include <torch/nn/modules/padding.h>

#include <nlohmann/json.hpp>

using namespace convkit;
namespace nn = torch::nn;

namespace {

/// A user's module that calls torch::nn's by their own holders, one of them twice.
struct UserImpl : nn::Module {
  torch::Tensor forward(torch::Tensor x) {
    x = relu(bn(conv(x)));
    x = relu(up(pool(x)));
    return fc(x.mean({2, 3}));
  }
  nn::Conv2d conv = register_module("conv", nn::Conv2d(nn::Conv2dOptions(3, 8, 3).padding(1)));
  nn::BatchNorm2d bn = register_module("bn", nn::BatchNorm2d(8));
  nn::ReLU relu = register_module("relu", nn::ReLU());
  nn::MaxPool2d pool = register_module("pool", nn::MaxPool2d(2));
  nn::ConvTranspose2d up = register_module(
      "up", nn::ConvTranspose2d(nn::ConvTranspose2dOptions(8, 4, 4).stride(2).padding(1)));
  nn::Linear fc = register_module("fc", nn::Linear(4, 5));
  nn::Dropout unused = register_module("unused", nn::Dropout());
};
TORCH_MODULE(User);

/// Draws random numbers, and counts its calls in a buffer.
struct NoisyImpl : Block<NoisyImpl> {
  NoisyImpl() { NoisyImpl::reset(); }
  void reset() override { calls = register_buffer("calls", torch::zeros({1})); }
  torch::Tensor forward(const torch::Tensor& x) override {
    calls += 1;
    return x + torch::rand_like(x);
  }
  torch::Tensor calls;
};
CONVKIT_MODULE(Noisy);

/// Throws at its first call, and leaves a buffer of another type and shape behind.
struct FailingImpl : Block<FailingImpl> {
  FailingImpl() { FailingImpl::reset(); }
  void reset() override {
    buffer = register_buffer("buffer", torch::zeros({1}));
    conv = register_module("conv", nn::Conv2d(nn::Conv2dOptions(3, 4, 1)));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    TORCH_CHECK(buffer.dim() == 2, "not yet");
    return conv(x);
  }
  torch::Tensor buffer;
  nn::Conv2d conv{nullptr};
};
CONVKIT_MODULE(Failing);

/// Calls a Failing, and goes on when it throws.
struct CatchingImpl : Block<CatchingImpl> {
  CatchingImpl() { CatchingImpl::reset(); }
  void reset() override { failing = register_module("failing", Failing()); }
  torch::Tensor forward(const torch::Tensor& x) override {
    try {
      return failing(x);
    } catch (const c10::Error&) {
      failing->buffer.set_data(torch::zeros({2, 3}, torch::kLong));
    }
    return failing(x.narrow(2, 0, 2)) + 1;
  }
  Failing failing{nullptr};
};
CONVKIT_MODULE(Catching);

const SummaryRow& row(const Summary& summary, const std::string& path) {
  for (const SummaryRow& each : summary.rows) {
    if (each.path == path) return each;
  }
  FAIL("no row " << path);
  return summary.rows.front();
}

using Sizes = std::vector<std::vector<int64_t>>;

}  // namespace

TEST_CASE("a summary of ours is exact", "[summary]") {
  Sequential net{{"block", ConvBlock(3, 8)},
                 {"body", Sequential{SeparableConv2d(8, 16), nn::ReLU()}},
                 {"up", Upsampler(16, 4)}};
  const Summary summary = summarize(*net, torch::randn({2, 3, 10, 12}));
  INFO(summary.text());
  CHECK(summary.parameters == parameter_count(*net));
  CHECK(summary.rows.size() == 12);
  const int64_t block = 2 * 10 * 12 * 3 * 9 * 8;
  const int64_t separable = 2 * 10 * 12 * (9 * 8 + 8 * 16);
  const int64_t up = 2 * 10 * 12 * 16 * 4 * 16;
  CHECK(row(summary, "block").macs == block);
  CHECK(row(summary, "block.conv").macs == block);
  CHECK(row(summary, "body").macs == separable);
  CHECK(row(summary, "up").macs == up);
  CHECK(summary.macs == block + separable + up);
  CHECK(row(summary, "block.conv").input_sizes == Sizes{{2, 3, 10, 12}});
  CHECK(row(summary, "block.bn").output_sizes == Sizes{{2, 8, 10, 12}});
  CHECK(row(summary, "body").output_sizes == Sizes{{2, 16, 10, 12}});
  CHECK(row(summary, "up").output_sizes == Sizes{{2, 4, 20, 24}});
  CHECK(row(summary, "up").dtype == "Float");
  CHECK_FALSE(row(summary, "body.1").inferred);
  CHECK(row(summary, "block.relu").inferred);
  CHECK(row(summary, "block.relu").calls == 1);
  CHECK(summary.buffers == 8 + 8 + 1);
  const int64_t maps = 2 * 10 * 12 * (8 + 8 + 8 + 8 + 16 + 16) + 2 * 20 * 24 * 4;
  CHECK(summary.activation_bytes == 4 * maps);
  CHECK(summary.input_bytes == 4 * 2 * 3 * 10 * 12);
}

TEST_CASE("a summary of a user's module places operators by weights and types", "[summary]") {
  User net;
  const torch::Tensor x = torch::randn({1, 3, 8, 6});
  const Summary summary = summarize(*net, [&] { net(x); });
  INFO(summary.text());
  CHECK(summary.rows.size() == 8);
  CHECK(row(summary, "conv").input_sizes == Sizes{{1, 3, 8, 6}});
  CHECK(row(summary, "conv").macs == 8 * 6 * 3 * 9 * 8);
  CHECK_FALSE(row(summary, "conv").inferred);
  CHECK(row(summary, "bn").output_sizes == Sizes{{1, 8, 8, 6}});
  CHECK(row(summary, "relu").calls == 2);
  CHECK(row(summary, "relu").inferred);
  CHECK(row(summary, "pool").output_sizes == Sizes{{1, 8, 4, 3}});
  CHECK(row(summary, "up").macs == 4 * 3 * 8 * 4 * 16);
  CHECK(row(summary, "fc").macs == 20);
  CHECK(row(summary, "fc").output_sizes == Sizes{{1, 5}});
  CHECK(row(summary, "unused").calls == 0);
  CHECK(row(summary, "").macs == summary.macs);
  CHECK_THAT(summary.text(), Catch::Matchers::ContainsSubstring("relu ReLU *"));
}

namespace {

/// Finds the pixels that element `index` of the maps depends on, by gradients: the first and the
/// last along each axis. Weights and gradients are positive, so that nothing cancels out.
std::array<std::pair<int64_t, int64_t>, 2> seen_by_gradient(
    const std::function<torch::Tensor(torch::Tensor)>& forward, torch::IntArrayRef sizes,
    std::array<int64_t, 2> index) {
  torch::Tensor x = torch::rand(sizes, torch::kDouble).requires_grad_();
  const torch::Tensor y = forward(x);
  y.select(2, index[0]).select(2, index[1]).sum().backward();
  const torch::Tensor touched = (x.grad() != 0).sum({0, 1});
  const auto ends = [](const torch::Tensor& counts) {
    const torch::Tensor at = counts.nonzero();
    return std::pair(at.min().item<int64_t>(), at.max().item<int64_t>());
  };
  return {ends(touched.sum(1)), ends(touched.sum(0))};
}

void make_positive(nn::Module& net) {
  const torch::NoGradGuard no_grad;
  net.to(torch::kDouble);
  net.eval();
  for (torch::Tensor& parameter : net.parameters()) {
    if (parameter.dim() == 4) parameter.uniform_(0.5, 1).div_(parameter[0].numel());
  }
}

void check_field(const SummaryRow& row, std::array<int64_t, 2> index,
                 const std::array<std::pair<int64_t, int64_t>, 2>& seen, torch::IntArrayRef sizes) {
  REQUIRE(row.receptive_field);
  for (std::size_t i = 0; i < 2; ++i) {
    const ReceptiveField& field = row.receptive_field->at(i);
    const int64_t first = field.start + index[i] * field.jump;
    INFO(row.path << " axis " << i << ": size " << field.size << " start " << field.start);
    CHECK(seen[i].first == std::max<int64_t>(first, 0));
    CHECK(seen[i].second == std::min(first + field.size, sizes[2 + i]) - 1);
  }
}

}  // namespace

TEST_CASE("receptive fields are those that gradients see", "[summary]") {
  torch::manual_seed(1);
  Sequential chain{
      nn::Conv2d(nn::Conv2dOptions(2, 4, {3, 5}).stride({2, 1}).padding({1, 0})),
      nn::BatchNorm2d(4),
      nn::ReLU(),
      nn::AvgPool2d(nn::AvgPool2dOptions(2)),
      Conv2dSame(Conv2dSameOptions(4, 4, 3).stride(2)),
      nn::ZeroPad2d(nn::ZeroPad2dOptions({1, 0, 2, 0})),
      nn::Conv2d(nn::Conv2dOptions(4, 3, 3).dilation({1, 2}).groups(1)),
  };
  make_positive(*chain);
  const std::vector<int64_t> sizes{1, 2, 67, 58};
  const Summary summary = summarize(*chain, torch::rand(sizes, torch::kDouble));
  INFO(summary.text());
  // The windows of these elements lie inside: those at the border see padding of the chain too.
  for (const std::array<int64_t, 2> index : {std::array<int64_t, 2>{3, 4}, {5, 8}}) {
    const auto seen = seen_by_gradient([&](auto x) { return chain(x); }, sizes, index);
    check_field(row(summary, ""), index, seen, sizes);
  }
  CHECK(row(summary, "0").receptive_field ==
        std::array<ReceptiveField, 2>{ReceptiveField{.size = 3, .jump = 2, .start = -1},
                                      ReceptiveField{.size = 5, .jump = 1, .start = 0}});
}

TEST_CASE("the receptive field of a residual network is what gradients see", "[summary]") {
  torch::manual_seed(2);
  auto net = models::resnet18();
  make_positive(*net);
  const std::vector<int64_t> sizes{1, 3, 480, 512};
  const Summary summary = summarize(*net, torch::rand(sizes, torch::kDouble));
  INFO(summary.text());
  const std::array<int64_t, 2> index{7, 8};
  const auto last = [&](const torch::Tensor& x) { return net->features(x).back(); };
  check_field(row(summary, "layer4"), index, seen_by_gradient(last, sizes, index), sizes);
  CHECK(row(summary, "layer4").receptive_field->at(0).size == 435);
  // After a global pooling there are no windows.
  CHECK_FALSE(row(summary, "avgpool").receptive_field);
  CHECK_FALSE(row(summary, "fc").receptive_field);
}

TEST_CASE("no receptive field is claimed where none is known", "[summary]") {
  const torch::Tensor x = torch::rand({1, 4, 8, 8});
  Sequential gated{ConvBlock(4, 8), SqueezeExcitation(8, 4), nn::ReLU()};
  const Summary gate = summarize(*gated, x);
  CHECK(row(gate, "0").receptive_field);
  CHECK_FALSE(row(gate, "1").receptive_field);
  CHECK_FALSE(row(gate, "").receptive_field);
  CHECK_FALSE(row(summarize(*Sequential{Upsampler(4, 4), ConvBlock(4, 4)}, x), "").receptive_field);
  User net;
  const torch::Tensor image = torch::randn({1, 3, 8, 6});
  const Summary unmarked = summarize(*net, [&] { net(image); });
  CHECK_FALSE(row(unmarked, "conv").receptive_field);
}

TEST_CASE("an encoder that is asked for its features has rows that ran", "[summary]") {
  const Summary summary = summarize(*models::create("unet_resnet18"), torch::rand({1, 3, 64, 64}));
  INFO(summary.text());
  CHECK(row(summary, "encoder.relu").calls == 1);
  CHECK(row(summary, "encoder.maxpool").output_sizes == Sizes{{1, 64, 16, 16}});
  CHECK(row(summary, "encoder.maxpool").inferred);
}

TEST_CASE("a summary leaves the module and the random state as they were", "[summary]") {
  Sequential net{Noisy(), nn::BatchNorm2d(3), nn::Dropout()};
  net->train();
  net[1]->eval();
  torch::manual_seed(3);
  const torch::Tensor expected = torch::rand({4});
  torch::manual_seed(3);
  torch::Tensor x = torch::ones({2, 3, 4, 4});
  summarize(*net, x);
  CHECK(torch::equal(torch::rand({4}), expected));
  CHECK(net->is_training());
  CHECK(net[0]->is_training());
  CHECK_FALSE(net[1]->is_training());
  CHECK(net[0]->as<NoisyImpl>()->calls.item<float>() == 0);
  CHECK(torch::equal(x, torch::ones_like(x)));
}

TEST_CASE("calls that throw do not count, and what they leave is put right", "[summary]") {
  Catching net;
  const torch::Tensor x = torch::randn({1, 3, 5, 4});
  const Summary summary = summarize(*net, x);
  INFO(summary.text());
  CHECK(row(summary, "").calls == 1);
  CHECK(row(summary, "").input_sizes == Sizes{{1, 3, 5, 4}});
  CHECK(row(summary, "").output_sizes == Sizes{{1, 4, 2, 4}});
  CHECK(row(summary, "failing").calls == 1);
  CHECK(row(summary, "failing").input_sizes == Sizes{{1, 3, 2, 4}});
  CHECK(row(summary, "failing").output_sizes == Sizes{{1, 4, 2, 4}});
  CHECK(row(summary, "failing.conv").macs == 3 * 4 * 2 * 4);
  CHECK(torch::equal(net->failing->buffer, torch::zeros({1})));
}

TEST_CASE("frozen and shared weights count once", "[summary]") {
  ConvBlock block(3, 8);
  for (torch::Tensor& parameter : block->conv->parameters()) parameter.set_requires_grad(false);
  const Summary frozen = summarize(*block, torch::randn({1, 3, 4, 4}));
  CHECK(frozen.parameters == 240);
  CHECK(frozen.trainable == 16);
  nn::Conv2d conv(nn::Conv2dOptions(3, 3, 1));
  Sequential twice{conv, conv};
  const Summary shared = summarize(*twice, torch::randn({1, 3, 4, 4}));
  CHECK(shared.parameters == 12);
  CHECK(shared.macs == 2 * 9 * 16);
}

TEST_CASE("a tensor at several places counts once in each module that has it", "[summary]") {
  nn::Conv2d conv(nn::Conv2dOptions(3, 3, 1));
  nn::Conv2d same(nn::Conv2dOptions(3, 3, 1));
  same->weight = same->register_parameter("other", conv->weight);  // 9 + 3, and a weight of its own
  Sequential net{{"a", Sequential{conv, same}}, {"b", Sequential{conv, Noisy()}}};
  net[1]->register_buffer("weight", conv->weight.detach());
  net[0]->register_buffer("weight", net[1]->buffers()[0]);
  const Summary summary = summarize(*net, torch::randn({1, 3, 4, 4}));
  INFO(summary.text());
  CHECK(row(summary, "a.0").parameters == 12);
  CHECK(row(summary, "a.1").parameters == 21);
  CHECK(row(summary, "a").parameters == 24);
  CHECK(row(summary, "b").parameters == 12);
  CHECK(row(summary, "").parameters == 24);
  CHECK(summary.parameters == parameter_count(*net));
  CHECK(summary.parameter_bytes == 4 * 24);
  CHECK(row(summary, "a").buffers == 9);
  CHECK(row(summary, "b").buffers == 10);
  CHECK(summary.buffers == 10);
  conv->weight.set_requires_grad(false);
  CHECK(summarize(*net, torch::randn({1, 3, 4, 4})).trainable == 15);
}

TEST_CASE("activations called by a module itself are found in their order", "[summary]") {
  struct Net : nn::Module {
    torch::Tensor forward(torch::Tensor x) {
      x = torch::relu(first(x));
      x = inner->relu(x);
      x = first(torch::tanh(x));
      return inner->relu(first(x));
    }
    struct Inner : nn::Module {
      nn::ReLU relu = register_module("relu", nn::ReLU());
      nn::ReLU unused = register_module("unused", nn::ReLU());
    };
    nn::ReLU first = register_module("first", nn::ReLU());
    std::shared_ptr<Inner> inner = register_module("inner", std::make_shared<Inner>());
    nn::ReLU last = register_module("last", nn::ReLU());
  };
  const auto net = std::make_shared<Net>();
  const Summary summary = summarize(*net, [&] { net->forward(torch::randn({1, 2, 3, 3})); });
  INFO(summary.text());
  // The first four of six operators go to the modules in their order, the others to the first again.
  CHECK(row(summary, "first").calls == 3);
  CHECK(row(summary, "inner.relu").calls == 1);
  CHECK(row(summary, "inner.unused").calls == 1);
  CHECK(row(summary, "last").calls == 1);
}

TEST_CASE("a summary is a tree, and JSON", "[summary]") {
  const Summary summary = summarize(*ConvBlock(3, 8), torch::randn({1, 3, 4, 4}));
  CHECK(summary.text() ==
        "module            input         output        parameters   MACs  receptive field\n"
        "ConvBlock         [1, 3, 4, 4]  [1, 8, 4, 4]         240  3,456       3 / 1 / -1\n"
        "├─conv Conv2d     [1, 3, 4, 4]  [1, 8, 4, 4]         224  3,456       3 / 1 / -1\n"
        "├─bn BatchNorm2d  [1, 8, 4, 4]  [1, 8, 4, 4]          16      -       3 / 1 / -1\n"
        "└─relu ReLU *     [1, 8, 4, 4]  [1, 8, 4, 4]           -      -       3 / 1 / -1\n"
        "\n"
        "parameters   240 (240 trainable), 0.00 MB\n"
        "buffers      17\n"
        "MACs         3,456, of convolutions and matrix products: half of FlopCounterMode's flops\n"
        "activations  0.00 MB, of an input of 0.00 MB\n"
        "receptive field: size / stride / start, in pixels of the input\n"
        "* by the type and order of its operator\n");
  CHECK(summary.text(0).find("Conv2d") == std::string::npos);
  CHECK(nlohmann::json::parse(summary.json(0)).at("layers").size() == 1);
  const auto json = nlohmann::json::parse(summary.json());
  CHECK(json.at("parameters") == 240);
  CHECK(json.at("macs") == 3456);
  CHECK(json.at("layers").size() == 4);
  CHECK(json.at("layers")[1].at("path") == "conv");
  CHECK(json.at("layers")[1].at("receptive_field").at("size") == nlohmann::json{3, 3});
}

TEST_CASE("a module of many inputs does not make every line long", "[summary]") {
  const Summary summary = summarize(*models::create("unet_resnet18"), torch::rand({1, 3, 64, 64}));
  const std::string text = summary.text();
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring("  [1, 3, 64, 64] + 5 more  "));
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring("  [1, 256, 4, 4] [1, 128, 8, 8]  "));
  CHECK(row(summary, "decoder").input_sizes.size() == 6);
  std::size_t widest = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    widest = std::max(widest, end - begin);
    begin = end + 1;
  }
  CHECK(widest < 150);
}

TEST_CASE("a summary passes errors on, and leaves nothing behind", "[summary][errors]") {
  ConvBlock block(3, 8);
  block->train();
  CHECK(support::error([&] { summarize(*block, torch::ones({1, 4, 4, 4})); }) ==
        "ConvBlock: expected input [N, 3, H, W], got [1, 4, 4, 4]");
  CHECK(block->is_training());
  User user;
  CHECK_THAT(support::error([&] { summarize(*user, torch::ones({1, 3, 4, 4})); }),
             Catch::Matchers::StartsWith("forward_child: expected a module that derives from"));
  const Summary summary = summarize(*block, torch::ones({1, 3, 4, 4}));
  CHECK(summary.macs == 3456);
}
