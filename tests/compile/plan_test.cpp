// The passes of a plan, each on a graph that is made by hand.
#include "compile/plan/plan.h"

#include "compile/compile_support.h"
#include "compile/graph_maker.h"
#include "compile/onednn/engine.h"
#include "compile/plan/affine.h"
#include "compile/plan/concatenations.h"
#include "compile/plan/convolutions.h"
#include "compile/plan/fusion.h"
#include "compile/plan/layouts.h"
#include "compile/plan/paddings.h"
#include "compile/plan/permutations.h"
#include "compile/plan/purity.h"
#include "compile/plan/simplify.h"

#include <convkit/compile.h>

#include <torch/nn/modules/conv.h>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <functional>
#include <limits>

namespace {

using namespace convkit::detail;
using support::GraphMaker;
using support::Id;
using torch::randn;
using Tensor = torch::Tensor;
using IntList = std::vector<int64_t>;
using Notes = std::map<std::string, int64_t>;

constexpr Id kNoTensor{-1};

std::vector<std::string> names_of(const Graph& graph) {
  std::vector<std::string> names;
  for (const Step& step : graph.steps) names.push_back(describe(step));
  return names;
}

using Names = std::vector<std::string>;

/// Runs passes, and checks that the results for other inputs stay the same: to the bit, or to the
/// rounding of float32 where they fold numbers into weights.
void check_pass(Graph& graph, const std::function<void(Graph&)>& pass, double tolerance = 0) {
  Tensors inputs;
  for (std::size_t i = 0; i < graph.input_count; ++i) {
    inputs.push_back(
        torch::empty_strided(graph.values[i].sizes, graph.values[i].strides, graph.values[i].dtype)
            .copy_(randn(graph.values[i].sizes)));
  }
  const Tensors before = GraphMaker::run(graph, inputs);
  {
    const torch::NoGradGuard no_grad;
    pass(graph);
  }
  const Tensors after = GraphMaker::run(graph, inputs);
  REQUIRE(before.size() == after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    REQUIRE(before[i].sizes() == after[i].sizes());
    CHECK(before[i].ne(before[i].flatten()[0]).any().item<bool>());  // it is alive
    CHECK(support::distance(after[i], before[i]) <= tolerance);
  }
}

Id conv2d(GraphMaker& maker, Id x, const Tensor& weight, Id bias = kNoTensor) {
  return maker.call("conv2d", {x, maker.constant(weight), bias, IntList{1, 1}, IntList{1, 1},
                               IntList{1, 1}, int64_t{1}});
}

Id batch_norm(GraphMaker& maker, Id x, int64_t channels) {
  return maker.call("batch_norm",
                    {x, maker.constant(randn({channels})), maker.constant(randn({channels})),
                     maker.constant(randn({channels})),
                     maker.constant(torch::rand({channels}) + 0.5), false, 0.1, 1e-5, false});
}

Id add(GraphMaker& maker, Id x, Id y, double alpha = 1) {
  return maker.call("add.Tensor", {x, y, at::Scalar(alpha)});
}

void pure_convolutions(Graph& graph) {
  make_pure(graph);
  find_convolutions(graph);
}

void fused_convolutions(Graph& graph) {
  pure_convolutions(graph);
  find_affine(graph);
  fuse_into_convolutions(graph);
}

void padded_convolutions(Graph& graph) {
  fused_convolutions(graph);
  take_in_paddings(graph);
}

Id padded(GraphMaker& maker, Id x, const IntList& padding, double number = 0) {
  return maker.call("constant_pad_nd", {x, padding, at::Scalar(number)});
}

Id max_pool(GraphMaker& maker, Id x, int64_t kernel, int64_t padding = 0) {
  return maker.call("max_pool2d", {x, IntList{kernel, kernel}, IntList{2, 2},
                                   IntList{padding, padding}, IntList{1, 1}, false});
}

Id average_pool(GraphMaker& maker, Id x, int64_t padding, bool counts) {
  return maker.call("avg_pool2d", {x, IntList{3, 3}, IntList{2, 2}, IntList{padding, padding},
                                   false, counts, c10::IValue()});
}

}  // namespace

TEST_CASE("names go on under the last of their names", "[compile][plan]") {
  Graph graph;
  graph.values.resize(3);
  Renaming names(graph);
  CHECK(names(-1) == -1);
  CHECK(names(2) == 2);
  names.rename(1, 0);
  names.rename(2, 1);
  CHECK(names(2) == 0);
  names.rename(7, 2);  // of a value that was added later
  CHECK(names(7) == 0);
  CHECK(names(9) == 9);
}

TEST_CASE("an operator in place on memory of its own makes a new value", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({1, 3, 5, 5}));
  const Id y = conv2d(maker, x, randn({3, 3, 3, 3}));
  const Id z = maker.call("relu_", {y});
  Graph graph = maker.returning({z});
  check_pass(graph, [](Graph& g) {
    find_overwritten(g);
    make_pure(g);
  });
  CHECK(graph.overwritten.empty());
  CHECK(names_of(graph) == Names{"conv2d", "relu"});
  CHECK(std::get<Operation>(graph.steps[1]).name() == "aten::relu");
  CHECK(std::get<Operation>(graph.steps[1]).written.empty());
  CHECK(graph.value(y.number).storage != graph.value(z.number).storage);
}

TEST_CASE("what views of written memory share stays as it was recorded", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({1, 3, 5, 5}));
  const Id y = maker.call("relu", {x});
  const Id part = maker.call("slice.Tensor", {y, int64_t{1}, int64_t{0}, int64_t{2}, int64_t{1}});
  const Id doubled = maker.call("mul_.Tensor", {part, maker.constant(torch::full({1}, 2.0))});
  const Id z = maker.call("tanh", {x});
  Graph graph = maker.returning({y, z});
  check_pass(graph, [](Graph& g) {
    find_overwritten(g);
    make_pure(g);
  });
  CHECK(graph.overwritten == std::set<int64_t>{y.number, part.number, doubled.number});
  CHECK(std::get<Operation>(graph.steps[2]).name() == "aten::mul_");
  CHECK(graph.is_raw(graph.steps[0]));
  CHECK_FALSE(graph.is_raw(graph.steps[3]));
}

TEST_CASE("memory counts where a view of it is there when it is written", "[compile][plan]") {
  const auto made = [](bool second_write) {
    GraphMaker maker;
    const Id x = maker.input(randn({1, 3, 5, 5}));
    const Id y = maker.call("relu", {x});
    const Id sum = maker.call("add_.Tensor", {y, x, at::Scalar(1)});
    const Id turned = maker.call("permute", {sum, IntList{0, 2, 3, 1}});
    if (second_write) maker.call("sin_", {turned});
    return maker.returning({maker.call("tanh", {turned}), sum});
  };
  const auto pass = [](Graph& g) {
    find_overwritten(g);
    make_pure(g);
  };
  Graph later = made(false);
  check_pass(later, pass);
  CHECK(later.overwritten.empty());
  CHECK(std::get<Operation>(later.steps[1]).name() == "aten::add");
  Graph both = made(true);
  check_pass(both, pass);
  CHECK(both.overwritten.size() == 4);
  CHECK(std::get<Operation>(both.steps[1]).name() == "aten::add_");
}

TEST_CASE("an exact graph keeps every write, and what as_strided looks at counts",
          "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({1, 3, 5, 5}));
  const Id y = maker.call("tanh", {x});
  const Id z = maker.call("relu_", {y});
  Graph graph = maker.returning({z});
  graph.exact = true;
  find_overwritten(graph);
  CHECK(graph.overwritten == std::set<int64_t>{y.number, z.number});

  const Id seen = maker.call("as_strided", {y, IntList{3}, IntList{1}, c10::IValue()});
  maker.graph.steps.erase(maker.graph.steps.begin() + 1);  // the write
  find_overwritten(maker.graph);
  CHECK(maker.graph.overwritten == std::set<int64_t>{y.number, z.number, seen.number});
}

TEST_CASE("memory that counts is made by a copy of its own", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 3, 4, 5}));
  const Id y = maker.call("exp", {maker.call("permute", {x, IntList{0, 2, 3, 1}})});
  const Id rows = maker.call("view", {maker.call("contiguous", {y, int64_t{0}}), IntList{-1, 3}});
  const Id part =
      maker.call("slice.Tensor", {rows, int64_t{1}, int64_t{0}, int64_t{2}, int64_t{1}});
  maker.call("mul_.Tensor", {part, maker.constant(torch::full({1}, 2.0))});
  Graph graph = maker.returning({rows});
  check_pass(graph, [](Graph& g) {
    find_overwritten(g);
    keep_layouts(g);
    remove_identities(g);
    make_pure(g);
  });
  CHECK(names_of(graph) ==
        Names{"permute", "exp", "copy as it was recorded", "view", "slice", "mul"});
}

TEST_CASE("an operator that may ask for strides gets a copy, if need be", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 3, 4, 5}));
  const Id y = maker.call("contiguous", {maker.call("relu", {x}), int64_t{0}});
  const Id known = maker.call("tanh", {y});
  const Id unknown = maker.call("trace", {maker.call("view", {y, IntList{6, 20}})});
  Graph graph = maker.returning({known, unknown});
  const auto pass = [](Graph& g) {
    find_overwritten(g);
    keep_layouts(g);
  };
  pass(graph);
  CHECK(names_of(graph) ==
        Names{"relu", "contiguous", "tanh", "view", "copy as it was recorded", "trace"});
}

TEST_CASE("operators on constants are constants", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({4}));
  const Id two = maker.call("exp", {maker.constant(randn({4}))});
  const Id y = maker.call("mul.Tensor", {x, two});
  Graph graph = maker.returning({y});
  check_pass(graph, fold_constants);
  CHECK(names_of(graph) == Names{"mul"});
  CHECK(graph.notes == Notes{{"computed operators on constants", 1}});
}

TEST_CASE("what does nothing is removed", "[compile][plan]") {
  for (const bool exact : {false, true}) {
    GraphMaker maker;
    const Id x = maker.input(randn({2, 3, 4, 5}));
    const Id dropped = maker.call("dropout", {x, 0.5, false});
    const Id same = maker.call("detach", {dropped});
    const Id moved = maker.call("contiguous", {same, int64_t(torch::MemoryFormat::ChannelsLast)});
    const Id y = maker.call("tanh", {moved});
    Graph graph = maker.returning({y, dropped});
    graph.exact = exact;
    check_pass(graph, remove_identities);
    // An exact graph has to keep what another layout is made by.
    CHECK(names_of(graph) == (exact ? Names{"contiguous", "tanh"} : Names{"tanh"}));
    CHECK(graph.outputs == std::vector<int64_t>{y.number, x.number});
    CHECK(graph.notes == Notes{{"removed what does nothing", exact ? 2 : 3}});
  }
}

TEST_CASE("a copy that is written is no identity", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 3}));
  const Id copy = maker.call("clone", {x, c10::IValue()});
  const Id first = maker.call("select.int", {copy, int64_t{0}, int64_t{0}});
  maker.call("zero_", {first});
  Graph graph = maker.returning({copy, x});
  check_pass(graph, [](Graph& g) {
    find_overwritten(g);
    remove_identities(g);
  });
  CHECK(names_of(graph) == Names{"clone", "select", "zero"});
}

TEST_CASE("steps that nothing needs are removed, writes are not", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 30}));
  maker.call("exp", {maker.call("tanh", {x})});
  const Id y = maker.call("relu", {x});
  const Id part = maker.call("select.int", {y, int64_t{0}, int64_t{0}});
  maker.call("zero_", {part});
  Graph graph = maker.returning({y});
  find_overwritten(graph);
  check_pass(graph, remove_dead);
  CHECK(names_of(graph) == Names{"relu", "select", "zero"});
}

TEST_CASE("constants are copied once, and what is unused is let go", "[compile][plan]") {
  GraphMaker maker;
  const Tensor weight = randn({3, 3, 3, 3});
  const Id x = maker.input(randn({1, 3, 5, 5}));
  const Id y = conv2d(maker, conv2d(maker, x, weight), weight);
  const Id unused = maker.constant(randn({1000}));
  Graph graph = maker.returning({y});
  find_convolutions(graph);
  ConstantPool pool;
  check_pass(graph, [&](Graph& g) { copy_constants(g, pool); });
  const auto& first = std::get<Convolution>(graph.steps[0]).weight;
  CHECK_FALSE(first.is_alias_of(weight));
  CHECK(first.is_same(std::get<Convolution>(graph.steps[1]).weight));
  CHECK_FALSE(graph.value(unused.number).tensor.defined());
}

TEST_CASE("convolutions and linear layers with constant weights are found", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 4, 6, 5}));
  const Id y =
      maker.call("conv2d", {x, maker.constant(randn({6, 2, 3, 1})), maker.constant(randn({6})),
                            IntList{2, 1}, IntList{1, 0}, IntList{1, 1}, int64_t{2}});
  const Id up = maker.call("conv_transpose2d.input",
                           {y, maker.constant(randn({6, 1, 2, 2})), kNoTensor, IntList{2, 2},
                            IntList{0, 0}, IntList{1, 0}, int64_t{3}, IntList{1, 1}});
  const Id same =
      maker.call("conv2d.padding", {up, maker.constant(randn({2, 3, 3, 5})), kNoTensor,
                                    IntList{1, 1}, std::string("same"), IntList{1, 1}, int64_t{1}});
  const Id flat = maker.call("flatten.using_ints", {same, int64_t{1}, int64_t{-1}});
  const int64_t features = maker.examples.back().size(1);
  const Id out =
      maker.call("addmm", {maker.constant(randn({7})), flat,
                           maker.constant(randn({7, features}).t()), at::Scalar(1), at::Scalar(1)});
  Graph graph = maker.returning(
      {maker.call("linear", {out, maker.constant(randn({3, 7})), maker.constant(randn({3}))})});
  check_pass(graph, find_convolutions);
  CHECK(names_of(graph) == Names{"conv2d 3x1 stride 2 groups 2",
                                 "conv_transpose2d 2x2 stride 2 groups 3", "conv2d 3x5", "flatten",
                                 "linear", "linear"});
  CHECK(std::get<Convolution>(graph.steps[1]).output_padding == IntList{1, 0});
  CHECK(std::get<Convolution>(graph.steps[2]).padding == IntList{1, 2});
}

TEST_CASE("a convolution of another kind stays an operator", "[compile][plan]") {
  const auto left_alone = [](const std::function<void(GraphMaker&)>& make) {
    GraphMaker maker;
    make(maker);
    find_convolutions(maker.graph);
    return std::holds_alternative<Operation>(maker.graph.steps.back());
  };
  CHECK(left_alone([](GraphMaker& maker) {  // a weight that depends on the input
    const Id x = maker.input(randn({1, 2, 5, 5}));
    const Id given = maker.input(randn({2, 2, 3, 3}));
    const Id weight = maker.call("tanh", {given});
    maker.call("conv2d",
               {x, weight, kNoTensor, IntList{1, 1}, IntList{0, 0}, IntList{1, 1}, int64_t{1}});
  }));
  CHECK(left_alone([](GraphMaker& maker) {  // float64
    conv2d(maker, maker.input(randn({1, 2, 5, 5}, torch::kDouble)),
           randn({2, 2, 3, 3}, torch::kDouble));
  }));
  CHECK(left_alone([](GraphMaker& maker) {  // an image without a batch
    conv2d(maker, maker.input(randn({2, 5, 5})), randn({2, 2, 3, 3}));
  }));
  CHECK(left_alone([](GraphMaker& maker) {  // 2 (x w) + b
    const Id x = maker.input(randn({2, 3}));
    maker.call("addmm", {maker.constant(randn({7})), x, maker.constant(randn({3, 7})),
                         at::Scalar(1), at::Scalar(2)});
  }));
}

TEST_CASE("permutations around norms and linear layers are removed", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 4, 3, 5}));
  const Id last = maker.call("permute", {x, IntList{0, 2, 3, 1}});
  const Id norm = maker.call("layer_norm", {last, IntList{4}, maker.constant(randn({4})),
                                            maker.constant(randn({4})), 1e-6, false});
  const Id wide = maker.call("linear", {norm, maker.constant(randn({8, 4})), kNoTensor});
  const Id biased = add(maker, wide, maker.constant(randn({8})));
  const Id active = maker.call("gelu", {biased, std::string("none")});
  const Id y = maker.call("permute", {active, IntList{0, 3, 1, 2}});
  Graph graph = maker.returning({y});
  find_convolutions(graph);
  check_pass(graph, sink_permutations, 1e-6);  // a product of matrices sums in another order
  CHECK(names_of(graph) == Names{"layer_norm of channels", "conv2d 1x1", "add", "gelu"});
}

TEST_CASE("a permuted image that is used itself is still made", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 4, 3, 5}));
  const Id last = maker.call("permute", {x, IntList{0, 2, 3, 1}});
  const Id active = maker.call("relu", {last});
  const Id y = maker.call("permute", {active, IntList{0, 3, 1, 2}});
  Graph graph = maker.returning({y, active});
  check_pass(graph, sink_permutations);
  CHECK(names_of(graph) == Names{"relu", "permute"});
}

TEST_CASE("batch norm, addition and activation go into the convolution", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 4, 6, 5}));
  const Id y = batch_norm(maker, conv2d(maker, x, randn({4, 4, 3, 3})), 4);
  const Id sum = add(maker, y, x);
  Graph graph = maker.returning({maker.call("relu", {sum})});
  check_pass(graph, fused_convolutions, 1e-5);
  CHECK(names_of(graph) == Names{"conv2d 3x3 + add + relu"});
  CHECK(std::get<Convolution>(graph.steps[0]).added == x.number);
  CHECK(graph.notes == Notes{{"folded batch_norm", 1}, {"fused add", 1}, {"fused relu", 1}});
}

TEST_CASE("a norm after a transposed convolution of groups is folded", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 4, 6, 5}));
  const Id y = maker.call("conv_transpose2d.input",
                          {x, maker.constant(randn({4, 3, 2, 2})), maker.constant(randn({6})),
                           IntList{2, 2}, IntList{0, 0}, IntList{0, 0}, int64_t{2}, IntList{1, 1}});
  Graph graph = maker.returning({batch_norm(maker, y, 6)});
  check_pass(graph, fused_convolutions, 1e-5);
  CHECK(names_of(graph) == Names{"conv_transpose2d 2x2 stride 2 groups 2"});
}

TEST_CASE("constants of each channel are folded, others are not", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 4, 6, 5}));
  const Id y = conv2d(maker, x, randn({4, 4, 3, 3}));
  const Id scaled = maker.call("mul.Tensor", {y, maker.constant(randn({4, 1, 1}))});
  const Id shifted = add(maker, maker.constant(randn({1, 4, 1, 1})), scaled);
  const Id each = maker.call("mul.Tensor", {shifted, maker.constant(randn({6, 5}))});
  Graph graph = maker.returning({each});
  check_pass(graph, fused_convolutions, 1e-5);
  CHECK(names_of(graph) == Names{"conv2d 3x3", "mul"});
}

TEST_CASE("a norm after an activation is a scale and a shift of the convolution",
          "[compile][plan]") {
  for (const bool transposed : {false, true}) {
    GraphMaker maker;
    const Id x = maker.input(randn({2, 4, 6, 5}));
    const Id y = transposed
                     ? maker.call("conv_transpose2d.input",
                                  {x, maker.constant(randn({4, 4, 2, 2})), kNoTensor, IntList{2, 2},
                                   IntList{0, 0}, IntList{0, 0}, int64_t{1}, IntList{1, 1}})
                     : conv2d(maker, x, randn({4, 4, 3, 3}));
    const Id norm = batch_norm(maker, maker.call("relu", {y}), 4);
    const Id doubled = maker.call("mul.Tensor", {norm, maker.constant(torch::full({}, 2.0))});
    Graph graph = maker.returning({doubled});
    check_pass(graph, fused_convolutions, 1e-5);
    REQUIRE(graph.steps.size() == 1);
    const auto& convolution = std::get<Convolution>(graph.steps[0]);
    CHECK(fused_in(graph.steps[0]) == Names{"relu", "batch_norm", "mul"});
    CHECK(convolution.scale.sizes() == IntList{4});
    CHECK(convolution.shift.sizes() == IntList{4});
    CHECK(graph.notes == Notes{{"fused relu", 1}, {"fused batch_norm", 1}, {"fused mul", 1}});
  }
}

TEST_CASE("a norm after a sum is one too, and no activation follows it", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 4, 6, 5}));
  const Id sum = add(maker, conv2d(maker, x, randn({4, 4, 3, 3})), x);
  Graph graph = maker.returning({maker.call("relu", {batch_norm(maker, sum, 4)})});
  check_pass(graph, fused_convolutions, 1e-5);
  CHECK(names_of(graph) == Names{"conv2d 3x3 + add + batch_norm", "relu"});
}

TEST_CASE("a PReLU is a convolution's activation", "[compile][plan]") {
  for (const int64_t count : {1, 4}) {
    GraphMaker maker;
    const Id x = maker.input(randn({2, 4, 6, 5}));
    const Id y = batch_norm(maker, conv2d(maker, x, randn({4, 4, 3, 3})), 4);
    const Id active = maker.call("prelu", {y, maker.constant(randn({count}))});
    const Id flat = maker.call("flatten.using_ints", {active, int64_t{1}, int64_t{-1}});
    const Id out = maker.call("linear", {flat, maker.constant(randn({7, 120})), kNoTensor});
    Graph graph = maker.returning({maker.call("prelu", {out, maker.constant(randn({7}))})});
    check_pass(graph, fused_convolutions, 1e-5);
    CHECK(names_of(graph) == Names{"conv2d 3x3 + prelu", "flatten", "linear + prelu"});
    CHECK(std::get<Convolution>(graph.steps[0]).slope.numel() == count);
  }
}

TEST_CASE("a PReLU of other channels, or of weights that depend on the input, stays",
          "[compile][plan]") {
  {  // the channels of a linear layer are the last dimension, those of PReLU the second one
    GraphMaker maker;
    const Id x = maker.input(randn({2, 3, 5}));
    const Id y = maker.call("linear", {x, maker.constant(randn({3, 5})), kNoTensor});
    Graph graph = maker.returning({maker.call("prelu", {y, maker.constant(randn({3}))})});
    check_pass(graph, fused_convolutions, 1e-5);
    CHECK(names_of(graph) == Names{"linear", "prelu"});
  }
  {
    GraphMaker maker;
    const Id x = maker.input(randn({2, 4, 6, 5}));
    const Id given = maker.input(randn({4}));
    const Id weight = maker.call("tanh", {given});
    const Id y = maker.call("prelu", {conv2d(maker, x, randn({4, 4, 3, 3})), weight});
    Graph graph = maker.returning({y});
    check_pass(graph, fused_convolutions, 1e-5);
    CHECK(names_of(graph) == Names{"tanh", "conv2d 3x3", "prelu"});
  }
}

TEST_CASE("sums and products with constants are one step", "[compile][plan]") {
  GraphMaker maker;
  const auto number = [&](double value) { return maker.constant(torch::full({}, value)); };
  const Id x = maker.input(randn({2, 4, 6, 5}));
  const Id a = maker.call("mul.Tensor", {number(2), x});
  const Id b = maker.call("sub.Tensor", {number(1), a, at::Scalar(3)});
  const Id c = maker.call("div.Tensor", {b, number(7)});
  const Id d = maker.call("rsub.Scalar", {c, at::Scalar(1), at::Scalar(2)});
  const Id e = add(maker, maker.constant(randn({4, 1, 1})), d, 0.5);
  const Id f = maker.call("neg", {batch_norm(maker, e, 4)});
  Graph graph = maker.returning({maker.call("relu", {f})});
  check_pass(graph, fused_convolutions, 1e-5);
  CHECK(names_of(graph) == Names{"mul + sub + div + rsub + add + batch_norm + neg + relu"});
}

TEST_CASE("one minus x is a step without the tensor of ones", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 4, 6, 5}));
  const Id empty = maker.call(
      "zeros_like", {x, c10::IValue(), c10::IValue(), c10::IValue(), c10::IValue(), c10::IValue()});
  const Id ones = maker.call("fill_.Scalar", {empty, at::Scalar(1)});
  Graph graph = maker.returning({maker.call("sub_.Tensor", {ones, x, at::Scalar(1)})});
  check_pass(
      graph,
      [](Graph& g) {
        find_overwritten(g);
        fused_convolutions(g);
        remove_dead(g);
      },
      1e-6);
  CHECK(names_of(graph) == Names{"sub"});
  CHECK(std::holds_alternative<Affine>(graph.steps[0]));
}

TEST_CASE("arithmetic that one step would change stays operators", "[compile][plan]") {
  const auto affine_steps = [](const std::function<Id(GraphMaker&, Id)>& make) {
    GraphMaker maker;
    const Id x = maker.input(randn({2, 4, 6, 5}));
    Graph graph = maker.returning({make(maker, x)});
    fused_convolutions(graph);
    return std::count_if(graph.steps.begin(), graph.steps.end(),
                         [](const Step& step) { return std::holds_alternative<Affine>(step); });
  };
  const auto constant = [](GraphMaker& maker, double number) {
    return maker.constant(torch::full({}, number));
  };
  CHECK(affine_steps([&](GraphMaker& maker, Id x) {  // rounds x to a whole number
          const Id large = add(maker, x, constant(maker, 1.5 * (1 << 23)));
          return maker.call("sub.Tensor", {large, constant(maker, 1.5 * (1 << 23)), at::Scalar(1)});
        }) == 0);
  CHECK(affine_steps([&](GraphMaker& maker, Id x) {  // overflows, and stays infinite
          const Id large = maker.call("mul.Tensor", {x, constant(maker, 1e30)});
          return maker.call("mul.Tensor", {large, constant(maker, 1e30)});
        }) == 0);
  CHECK(affine_steps([&](GraphMaker& maker, Id x) {
          return maker.call("div.Tensor", {x, constant(maker, 0)});
        }) == 0);
  CHECK(affine_steps([](GraphMaker& maker, Id x) {  // a map of its own numbers
          return add(maker, x, maker.constant(randn({6, 5})));
        }) == 0);
  CHECK(affine_steps([](GraphMaker& maker, Id x) {  // the result is larger than x
          const Id row =
              maker.call("slice.Tensor", {x, int64_t{3}, int64_t{0}, int64_t{1}, int64_t{1}});
          return add(maker, row, maker.constant(randn({5})));
        }) == 0);
  CHECK(affine_steps([](GraphMaker& maker, Id x) {  // the quotient is rounded down
          return maker.call("div.Tensor_mode",
                            {x, maker.constant(torch::full({}, 2.0)), std::string("floor")});
        }) == 0);
  CHECK(affine_steps([](GraphMaker& maker, Id x) {  // along two axes
          const Id y = maker.call("mul.Tensor", {x, maker.constant(randn({4, 1, 1}))});
          return maker.call("mul.Tensor", {y, maker.constant(randn({5}))});
        }) == 2);
  CHECK(affine_steps([](GraphMaker& maker, Id x) {  // the first one is used twice
          const Id y = maker.call("mul.Tensor", {x, maker.constant(randn({4, 1, 1}))});
          const Id z = maker.call("mul.Tensor", {y, maker.constant(randn({4, 1, 1}))});
          return add(maker, y, z);
        }) == 2);
}

TEST_CASE("a norm of the batch's own statistics stays", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 4, 6, 5}));
  const Id y = maker.call("batch_norm",
                          {x, kNoTensor, kNoTensor, kNoTensor, kNoTensor, true, 0.1, 1e-5, false});
  Graph graph = maker.returning({y});
  check_pass(graph, fused_convolutions);
  CHECK(names_of(graph) == Names{"batch_norm"});
  CHECK(std::holds_alternative<Operation>(graph.steps[0]));
}

TEST_CASE("zeros around an image go into the convolution", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({2, 2, 5, 6}));
  const Id first = conv2d(maker, padded(maker, x, {2, 1, 0, 3}), randn({4, 2, 3, 3}));
  const Id second = maker.call("_pad_enum", {first, IntList{0, 1}, int64_t{3}, c10::IValue()});
  const Id third = conv2d(maker, second, randn({4, 4, 2, 2}));
  const Id fourth =
      maker.call("pad", {third, IntList{1, 1, 1, 1, 0, 0}, std::string("constant"), c10::IValue()});
  Graph graph = maker.returning({conv2d(maker, fourth, randn({2, 4, 3, 3}))});
  check_pass(graph, padded_convolutions, 1e-5);
  CHECK(names_of(graph) == Names{"conv2d 3x3", "conv2d 2x2", "conv2d 3x3"});
  const auto& convolution = std::get<Convolution>(graph.steps[0]);
  CHECK(convolution.padding == IntList{1, 3});
  CHECK(padding_after(convolution) == IntList{4, 2});
}

TEST_CASE("a padding that a convolution cannot have stays", "[compile][plan]") {
  const auto stays = [](const std::function<Id(GraphMaker&, Id)>& make) {
    GraphMaker maker;
    const Id x = maker.input(randn({2, 4, 6, 5}));
    Graph graph = maker.returning({make(maker, x)});
    const std::size_t before = graph.steps.size();
    padded_convolutions(graph);
    return graph.steps.size() == before;
  };
  const auto convolution = [](GraphMaker& maker, Id x) {
    return conv2d(maker, x, randn({4, 4, 3, 3}));
  };
  CHECK_FALSE(
      stays([&](GraphMaker& maker, Id x) { return convolution(maker, padded(maker, x, {1, 1})); }));
  CHECK(stays([&](GraphMaker& maker, Id x) {  // no zeros
    return convolution(maker, padded(maker, x, {1, 1}, 0.5));
  }));
  CHECK(stays([&](GraphMaker& maker, Id x) {  // cuts
    return convolution(maker, padded(maker, x, {1, -1}));
  }));
  CHECK(stays([&](GraphMaker& maker, Id x) {  // images
    return convolution(maker, padded(maker, x, {1, 1, 0, 0, 0, 0, 1, 0}));
  }));
  CHECK(stays([&](GraphMaker& maker, Id x) {
    return convolution(maker, maker.call("reflection_pad2d", {x, IntList{1, 1, 1, 1}}));
  }));
  CHECK(stays([&](GraphMaker& maker, Id x) {
    return convolution(
        maker, maker.call("_pad_enum", {x, IntList{1, 1, 1, 1}, int64_t{0}, c10::IValue()}));
  }));
  CHECK(stays([&](GraphMaker& maker, Id x) {  // is used twice
    const Id y = padded(maker, x, {1, 1});
    maker.call("tanh", {y});
    return convolution(maker, y);
  }));
  CHECK(stays([](GraphMaker& maker, Id x) {  // what is around a transposed one is cut off
    return maker.call("conv_transpose2d.input",
                      {padded(maker, x, {1, 1}), maker.constant(randn({4, 4, 2, 2})), kNoTensor,
                       IntList{2, 2}, IntList{0, 0}, IntList{0, 0}, int64_t{1}, IntList{1, 1}});
  }));
  CHECK(stays([](GraphMaker& maker, Id x) {  // the last dimension is that of the channels
    return maker.call("linear",
                      {padded(maker, x, {1, 1}), maker.constant(randn({3, 7})), kNoTensor});
  }));
}

TEST_CASE("a padding of memory that is written stays where it was", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({1, 4, 6, 5}));
  const Id y = maker.call("tanh", {x});
  const Id pad = padded(maker, y, {1, 1});
  const Id part = maker.call("select.int", {y, int64_t{1}, int64_t{0}});
  maker.call("zero_", {part});
  Graph graph = maker.returning({conv2d(maker, pad, randn({4, 4, 3, 3})), y});
  check_pass(
      graph,
      [](Graph& g) {
        find_overwritten(g);
        padded_convolutions(g);
      },
      1e-5);
  CHECK(names_of(graph) == Names{"tanh", "constant_pad_nd", "select", "zero", "conv2d 3x3"});
}

TEST_CASE("a padding that changes no result of a pooling goes into it", "[compile][plan]") {
  const auto names = [](const std::function<Id(GraphMaker&, Id)>& make) {
    GraphMaker maker;
    const Id x = maker.input(randn({2, 4, 7, 6}));
    Graph graph = maker.returning({make(maker, x)});
    check_pass(graph, padded_convolutions, 1e-6);
    return names_of(graph);
  };
  constexpr double kLowest = -std::numeric_limits<double>::infinity();
  const Names max{"max_pool2d + constant_pad_nd"};
  const Names average{"avg_pool2d + constant_pad_nd"};
  const Names max_apart{"constant_pad_nd", "max_pool2d"};
  const Names average_apart{"constant_pad_nd", "avg_pool2d"};
  CHECK(names([](GraphMaker& maker, Id x) {
          return max_pool(maker, padded(maker, x, {0, 1, 1, 1}, kLowest), 3, 1);
        }) == max);
  CHECK(names([](GraphMaker& maker, Id x) {  // where all numbers are negative, zeros win
          return max_pool(maker, padded(maker, x, {0, 1, 1, 1}), 3);
        }) == max_apart);
  CHECK(names([](GraphMaker& maker, Id x) {
          return max_pool(maker, padded(maker, maker.call("sigmoid", {x}), {0, 1, 1, 1}), 3);
        }) == Names{"sigmoid", "max_pool2d + constant_pad_nd"});
  CHECK(names([](GraphMaker& maker, Id x) {
          return average_pool(maker, padded(maker, x, {0, 1, 2, 1}), 0, false);
        }) == average);
  CHECK(names([](GraphMaker& maker, Id x) {
          return average_pool(maker, padded(maker, x, {0, 1, 2, 1}), 1, true);
        }) == average);
  CHECK(names([](GraphMaker& maker, Id x) {  // zeros of the padding count, those of the pooling not
          return average_pool(maker, padded(maker, x, {0, 1, 2, 1}), 1, false);
        }) == average_apart);
  CHECK(names([](GraphMaker& maker, Id x) {
          return average_pool(maker, padded(maker, x, {0, 1, 2, 1}, 1), 0, true);
        }) == average_apart);
  GraphMaker maker;  // a window of nothing but padding: its result is -infinity
  const Id x = maker.input(randn({2, 4, 7, 6}));
  Graph graph = maker.returning({max_pool(maker, padded(maker, x, {0, 3, 0, 0}, kLowest), 3)});
  padded_convolutions(graph);
  CHECK(names_of(graph) == max_apart);
}

TEST_CASE("a convolution takes in nothing that another step needs apart", "[compile][plan]") {
  const auto fused = [](Graph graph) {
    fused_convolutions(graph);
    return names_of(graph);
  };
  {  // its own result is used again
    GraphMaker maker;
    const Id y = conv2d(maker, maker.input(randn({1, 2, 4, 4})), randn({2, 2, 3, 3}));
    CHECK(fused(maker.returning({maker.call("relu", {y}), y})) == Names{"conv2d 3x3", "relu"});
  }
  {  // x + 2 y
    GraphMaker maker;
    const Id x = maker.input(randn({1, 2, 4, 4}));
    const Id y = conv2d(maker, x, randn({2, 2, 3, 3}));
    CHECK(fused(maker.returning({add(maker, x, y, 2)})) == Names{"conv2d 3x3", "add"});
  }
  {  // y + y
    GraphMaker maker;
    const Id y = conv2d(maker, maker.input(randn({1, 2, 4, 4})), randn({2, 2, 3, 3}));
    CHECK(fused(maker.returning({add(maker, y, y)})) == Names{"conv2d 3x3", "add"});
  }
  {  // an image is added that is broadcast
    GraphMaker maker;
    const Id x = maker.input(randn({1, 2, 4, 4}));
    const Id y = conv2d(maker, x, randn({2, 2, 3, 3}));
    const Id row = maker.call("slice.Tensor", {x, int64_t{2}, int64_t{0}, int64_t{1}, int64_t{1}});
    CHECK(fused(maker.returning({add(maker, y, row)})) == Names{"conv2d 3x3", "slice", "add"});
  }
  for (const bool turned : {false, true}) {  // of two that are added, the later one takes the sum
    GraphMaker maker;
    const Id x = maker.input(randn({1, 2, 4, 4}));
    const Id a = conv2d(maker, x, randn({2, 2, 3, 3}));
    const Id b = conv2d(maker, x, randn({2, 2, 3, 3}));
    Graph graph = maker.returning({turned ? add(maker, b, a) : add(maker, a, b)});
    check_pass(graph, fused_convolutions, 1e-5);
    REQUIRE(graph.steps.size() == 2);
    CHECK(std::get<Convolution>(graph.steps[1]).added == a.number);
  }
}

TEST_CASE("a convolution of a concatenation is two", "[compile][plan]") {
  GraphMaker maker;
  const Id a = maker.input(randn({2, 3, 4, 5}));
  const Id b = maker.input(randn({2, 2, 4, 5}));
  const Id both = maker.call("cat", {std::vector<Id>{a, b}, int64_t{1}});
  const Id y = conv2d(maker, both, randn({4, 5, 3, 3}), maker.constant(randn({4})));
  Graph graph = maker.returning({maker.call("relu", {y})});
  const auto passes = [](Graph& g) {
    fused_convolutions(g);
    split_concatenations(g);
    remove_dead(g);
  };
  check_pass(graph, passes, 1e-5);  // sums of another order
  CHECK(names_of(graph) == Names{"conv2d 3x3", "conv2d 3x3 + add + relu"});

  GraphMaker again;  // where the concatenation is used twice, it stays
  const Id c = again.input(randn({2, 3, 4, 5}));
  const Id twice = again.call("cat", {std::vector<Id>{c, c}, int64_t{1}});
  Graph kept = again.returning({conv2d(again, twice, randn({4, 6, 3, 3})), twice});
  check_pass(kept, passes, 1e-5);
  CHECK(names_of(kept) == Names{"cat", "conv2d 3x3"});
}

TEST_CASE("the last uses of values are never results", "[compile][plan]") {
  GraphMaker maker;
  const Id x = maker.input(randn({3}));
  const Id y = maker.call("tanh", {x});
  const Id z = maker.call("add.Tensor", {x, y, at::Scalar(1)});
  const Graph graph = maker.returning({y});
  CHECK(graph.last_uses() == std::vector<std::vector<int64_t>>{{}, {x.number, z.number}});
  CHECK(graph.links().uses == std::vector<int64_t>{2, 2, 0});
}

TEST_CASE("oneDNN computes where convkit was built with it", "[compile]") {
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3));
  conv->eval();
  const auto plan =
      support::plan_of(convkit::compile(conv, randn({1, 3, 16, 16}), {.timing = false}));
  CHECK(plan.engine.starts_with("oneDNN") == has_onednn());
}
