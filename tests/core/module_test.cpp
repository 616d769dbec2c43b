#include <convkit/blocks.h>
#include <convkit/module.h>
#include <convkit/separable.h>

#include "support.h"

#include <torch/nn/modules/container/functional.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>
#include <torch/nn/modules/rnn.h>
#include <torch/nn/modules/upsampling.h>

#include <sstream>
#include <thread>

using namespace convkit;
namespace nn = torch::nn;

namespace {

/// A user's module: notes which modules run while its forward does.
struct WitnessImpl : Block<WitnessImpl> {
  void reset() override {}
  torch::Tensor forward(const torch::Tensor& x) override {
    seen.clear();
    for (const auto* running = convkit::detail::Running::innermost; running != nullptr;
         running = running->outer) {
      seen.push_back(&running->module);
    }
    if (x.numel() == 0) throw std::runtime_error("nothing to see");
    return x + 1;
  }
  std::vector<const nn::Module*> seen;
};
CONVKIT_MODULE(Witness);

struct OuterImpl : Block<OuterImpl> {
  OuterImpl() { OuterImpl::reset(); }
  void reset() override { witness = register_module("witness", Witness()); }
  torch::Tensor forward(const torch::Tensor& x) override { return witness(x); }
  Witness witness{nullptr};
};
CONVKIT_MODULE(Outer);

/// A user's module that is none of ours.
struct ForeignImpl : nn::Module {
  torch::Tensor forward(const torch::Tensor& x) { return x; }
};
TORCH_MODULE(Foreign);

nn::Conv2d pointwise(int64_t in_channels, int64_t out_channels) {
  return nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, 1));
}

template <typename Inner>
struct WrapperImpl : Block<WrapperImpl<Inner>> {
  void reset() override {}
  torch::Tensor forward(const torch::Tensor& x) override { return x; }
};

}  // namespace

TEST_CASE("Sequential nests, with Python's keys", "[module]") {
  Sequential net{Sequential{pointwise(3, 4), nn::ReLU()},
                 Sequential{{"first", pointwise(4, 5)}, {"second", ConvBlock(5, 6)}}};
  CHECK(net->size() == 2);
  CHECK(support::keys(*net) ==
        std::vector<std::string>{"0.0.weight", "0.0.bias", "1.first.weight", "1.first.bias",
                                 "1.second.conv.weight", "1.second.conv.bias", "1.second.bn.weight",
                                 "1.second.bn.bias", "1.second.bn.running_mean",
                                 "1.second.bn.running_var", "1.second.bn.num_batches_tracked"});
  CHECK(net(torch::randn({2, 3, 5, 5})).sizes() == torch::IntArrayRef({2, 6, 5, 5}));

  Sequential outer;
  outer->push_back(net);
  CHECK(support::keys(*outer)[0] == "0.0.0.weight");
  CHECK((*outer)[0] == net.ptr());
#ifndef __clang__  // see Sequential's doc
  CHECK(support::keys(*Sequential{net})[0] == "0.0.0.weight");
  CHECK(support::keys(*Sequential{Sequential{pointwise(3, 4)}})[0] == "0.0.weight");
#endif

  const Sequential alias = net;
  CHECK(alias.ptr() == net.ptr());
  const Sequential none{nullptr};
  CHECK(none.is_empty());
}

TEST_CASE("Sequential runs its children in order, as torch::nn::Sequential does", "[module]") {
  ConvBlock block(3, 4);
  SeparableConv2d separable(4, 5);
  nn::Conv2d conv = pointwise(5, 6);
  Sequential ours{
      block, nn::Sequential(separable, nn::LeakyReLU(nn::LeakyReLUOptions().negative_slope(0.2))),
      conv};
  nn::Sequential theirs(block, separable, nn::LeakyReLU(nn::LeakyReLUOptions().negative_slope(0.2)),
                        conv);
  ours->eval();
  const torch::Tensor x = torch::randn({2, 3, 7, 6});
  CHECK(torch::equal(ours(x), theirs->forward(x)));

  CHECK(torch::equal(Sequential{}(x), x));
  CHECK((*ours)[2] == conv.ptr());
  CHECK(support::error([&] { (void)(*ours)[3]; }) ==
        "Sequential: expected an index below its size 3, got 3");
}

TEST_CASE("Sequential creates its children in Python's order", "[module]") {
  torch::manual_seed(5);
  nn::Conv2d first = pointwise(3, 4);
  nn::Conv2d second = pointwise(4, 3);
  torch::manual_seed(5);
  Sequential net{pointwise(3, 4), pointwise(4, 3)};
  CHECK(torch::equal(net->parameters()[0], first->weight));
  CHECK(torch::equal(net->parameters()[2], second->weight));
}

TEST_CASE("Sequential obeys the laws of every module", "[module][clone]") {
  torch::manual_seed(1);
  Sequential net{ConvBlock(3, 4), Sequential{pointwise(4, 5), nn::ReLU()}, SeparableConv2d(5, 6)};
  for (int i = 0; i < 5; ++i) net(torch::randn({2, 3, 9, 9}) + 1);
  support::check_module_laws(net, torch::randn({2, 3, 9, 8}));
}

TEST_CASE("a clone keeps each child's own mode", "[module][clone]") {
  Sequential net{ConvBlock(3, 4), ConvBlock(4, 5)};
  (*net)[0]->eval();
  const auto copy = std::dynamic_pointer_cast<SequentialImpl>(net->clone());
  CHECK(copy->is_training());
  CHECK_FALSE((*copy)[0]->is_training());
  CHECK((*copy)[1]->is_training());
}

TEST_CASE("Sequential obeys replace_module, as Python's item assignment", "[module]") {
  Sequential net{pointwise(3, 4), nn::ReLU()};
  net->replace_module("0", pointwise(3, 7));
  CHECK(net(torch::randn({1, 3, 2, 2})).size(1) == 7);
}

TEST_CASE("Sequential counts its children whoever adds and removes them", "[module]") {
  Sequential net{nn::ReLU(), ConvBlock(3, 4)};
  nn::Module& module = *net;
  module.register_module("last", nn::ReLU());
  CHECK(net->size() == 3);
  CHECK((*net)[2]->as<nn::ReLU>() != nullptr);
  module.unregister_module("0");
  CHECK(net->size() == 2);
  CHECK((*net)[0]->as<ConvBlock>() != nullptr);
  CHECK_THAT(support::error([&] { static_cast<void>((*net)[2]); }),
             Catch::Matchers::StartsWith("Sequential: expected an index below its size 2, got 2"));
}

TEST_CASE("Sequential refuses what it cannot run, naming the child and its type",
          "[module][errors]") {
  CHECK(support::error([] { Sequential net{nn::ReLU(), nn::LSTM(3, 4)}; }) ==
        "Sequential: expected as child \"1\" a module that derives from convkit::Block, or one of "
        "torch::nn's whose forward takes and gives one tensor, got torch::nn::LSTMImpl");
  CHECK_THAT(support::error([] { Sequential net{{"mine", Foreign()}}; }),
             Catch::Matchers::ContainsSubstring("as child \"mine\"") &&
                 Catch::Matchers::EndsWith("ForeignImpl"));
  CHECK(support::error([] { Sequential net{std::shared_ptr<nn::ReLUImpl>()}; }) ==
        "Sequential: expected a module as child \"0\", got an empty pointer");
  CHECK_THAT(support::error([] { Sequential net{{"a", nn::ReLU()}, {"a", nn::ReLU()}}; }),
             Catch::Matchers::ContainsSubstring("'a' already defined"));
  ForeignImpl foreign;
  CHECK_THAT(support::error([&] { forward_child(foreign, torch::ones(1)); }),
             Catch::Matchers::StartsWith("forward_child: expected a module that derives from"));
}

TEST_CASE("Sequential refuses to contain itself", "[module][errors]") {
  Sequential net{nn::ReLU()};
  Sequential outer;
  outer->push_back(net);
  const std::string expected =
      "Sequential: expected a child \"1\" that does not contain the Sequential itself";
  CHECK(support::error([&] { net->push_back(net); }) == expected);
  CHECK(support::error([&] { net->push_back(outer); }) == expected);
}

TEST_CASE("a child that stands in a Sequential twice is one module in its clone",
          "[module][clone]") {
  nn::Conv2d shared = pointwise(3, 3);
  const auto copy = std::dynamic_pointer_cast<SequentialImpl>(
      Sequential{shared, nn::Functional(torch::relu), shared}->clone());
  CHECK((*copy)[0] == (*copy)[2]);
  CHECK((*copy)[0] != shared.ptr());
  CHECK(parameter_count(*copy) == 12);
}

TEST_CASE("to() takes gradients along, as Python does", "[module]") {
  ConvBlock block(3, 4);
  block(torch::randn({1, 3, 5, 5})).sum().backward();
  const torch::Tensor gradient = block->conv->weight.grad().clone();
  block->to(torch::kDouble);
  CHECK(block->conv->weight.grad().scalar_type() == torch::kDouble);
  CHECK(torch::equal(block->conv->weight.grad(), gradient.to(torch::kDouble)));
}

TEST_CASE("calling an empty holder is an error, not a crash", "[module][errors]") {
  ConvBlock block{nullptr};
  CHECK(support::error([&] { block(torch::ones({1, 3, 4, 4})); }) ==
        "Accessing empty ModuleHolder");
}

TEST_CASE("num_batches_tracked survives half precision, inside torch::nn::Sequential too",
          "[module]") {
  ConvBlock block(3, 4);
  block->bn->num_batches_tracked.fill_(5001);  // half would make it 5000
  nn::Sequential theirs(block);
  theirs->to(torch::kHalf);
  CHECK(block->bn->num_batches_tracked.scalar_type() == torch::kLong);
  CHECK(block->bn->num_batches_tracked.item<int64_t>() == 5001);
  CHECK(block->conv->weight.scalar_type() == torch::kHalf);
  theirs->to(torch::kCPU, torch::kFloat);
  CHECK(block->bn->num_batches_tracked.item<int64_t>() == 5001);
}

TEST_CASE("an optimizer's parameters stay the module's after to(dtype)", "[module]") {
  ConvBlock block(3, 4);
  const torch::Tensor weight = block->conv->weight;
  block->to(torch::kDouble);
  CHECK(weight.scalar_type() == torch::kDouble);
  CHECK(weight.is_same(block->conv->weight));
}

TEST_CASE("parameter_count counts every tensor once, and no buffers", "[module]") {
  CHECK(parameter_count(*ConvBlock(3, 64)) == 1920);
  nn::Conv2d shared = pointwise(3, 3);
  Sequential net{shared, nn::ReLU(), shared};
  CHECK(net->parameters().size() == 4);
  CHECK(parameter_count(*net) == 12);
  CHECK(parameter_count(*Sequential{}) == 0);
}

TEST_CASE("while a holder is called, its module is the running one", "[module]") {
  const torch::Tensor x = torch::ones({1});
  Outer outer;
  WitnessImpl& witness = *outer->witness;
  using Seen = std::vector<const nn::Module*>;

  outer(x);
  CHECK(witness.seen == Seen{&witness, outer.get()});
  Sequential net{nn::Identity(), outer};
  net(x);
  CHECK(witness.seen == Seen{&witness, outer.get(), net.get()});
  CHECK(convkit::detail::Running::innermost == nullptr);

  CHECK_THROWS_AS(net(torch::ones({0})), std::runtime_error);
  CHECK(convkit::detail::Running::innermost == nullptr);

  std::thread([&] { outer->witness(x); }).join();
  CHECK(witness.seen == Seen{&witness});
}

TEST_CASE("forward_child runs torch::nn's tensor-to-tensor modules", "[module]") {
  const torch::Tensor x = torch::randn({2, 4, 6, 6});
  nn::Conv2d conv = pointwise(4, 3);
  nn::MaxPool2d pool(2);
  nn::Upsample upsample(nn::UpsampleOptions().scale_factor(std::vector<double>{2, 2}));
  nn::Dropout dropout(0.5);
  dropout->eval();
  CHECK(torch::equal(forward_child(*conv, x), conv(x)));
  CHECK(torch::equal(forward_child(*pool, x), pool(x)));
  CHECK(torch::equal(forward_child(*upsample, x), upsample(x)));
  CHECK(torch::equal(forward_child(*dropout, x), x));
}

TEST_CASE("a module prints under its own name, a user's too", "[module]") {
  std::ostringstream printed;
  printed << Sequential{Outer(), nn::ReLU()};
  CHECK(printed.str() ==
        "Sequential(\n"
        "  (0): Outer(\n"
        "    (witness): Witness\n"
        "  )\n"
        "  (1): torch::nn::ReLU()\n"
        ")");
  CHECK(WrapperImpl<nn::ReLUImpl>().name() == "Wrapper");
}

namespace {

struct TwiceTiedImpl : convkit::Block<TwiceTiedImpl> {
  TwiceTiedImpl() { TwiceTiedImpl::reset(); }
  void reset() override {
    first = register_module("first", torch::nn::Linear(3, 3));
    second = register_module("second", torch::nn::Linear(3, 3));
    tie();
  }
  std::shared_ptr<torch::nn::Module> clone(
      const std::optional<torch::Device>& device = std::nullopt) const override {
    auto copy = convkit::Block<TwiceTiedImpl>::clone(device);
    static_cast<TwiceTiedImpl&>(*copy).tie();
    return copy;
  }
  torch::Tensor forward(const torch::Tensor& x) override { return second(first(x)); }
  void tie() { second->weight = convkit::tie_parameter(*second, "weight", first->weight); }

  torch::nn::Linear first{nullptr};
  torch::nn::Linear second{nullptr};
};
CONVKIT_MODULE(TwiceTied);

}  // namespace

TEST_CASE("tied parameters are one, in a clone too", "[module][clone]") {
  TwiceTied tied;
  const auto copy = std::dynamic_pointer_cast<TwiceTiedImpl>(tied->clone());
  for (const auto& module : {tied.ptr(), copy}) {
    CHECK(module->named_parameters()["second.weight"].is_same(module->first->weight));
    CHECK(module->second->weight.is_same(module->first->weight));
  }
  CHECK_FALSE(copy->first->weight.is_same(tied->first->weight));
  const torch::Tensor x = torch::randn({2, 3});
  CHECK(torch::equal(copy->forward(x), tied(x)));
  copy->to(torch::kDouble);
  CHECK(copy->second->weight.scalar_type() == torch::kDouble);
  CHECK(convkit::parameter_count(*tied) == 15);
  CHECK(support::error([&] { convkit::tie_parameter(*tied, "weight", x); }) ==
        "tie_parameter: expected a parameter of TwiceTied, got \"weight\"");
  CHECK(support::error([&] { convkit::tie_parameter(*tied->first, "weight", x); }) ==
        "tie_parameter: expected a tensor [3, 3] for \"weight\", got [2, 3]");
}
