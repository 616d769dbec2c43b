#include <convkit/ops.h>
#include <convkit/summary.h>

#include "support.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/conv.h>

#include <cmath>
#include <functional>
#include <limits>
#include <sstream>

using namespace convkit;
using torch::Tensor;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Tensor doubles(std::vector<double> values, std::vector<int64_t> sizes) {
  return torch::tensor(values, torch::kDouble).view(sizes);
}

/// Boxes of a map [2, C, 9, 11], between pixels.
Tensor some_boxes() {
  return doubles({0, 1.3, 0.7, 8.4, 6.2, 1, -2.1, 3.3, 5.9, 10.6, 0, 4.2, 4.1, 4.9, 4.6}, {3, 5});
}

/// Tensors in float64 that need a gradient.
std::vector<Tensor> variables(const std::vector<std::vector<int64_t>>& sizes) {
  torch::manual_seed(5);
  std::vector<Tensor> result;
  for (const auto& size : sizes)
    result.push_back(torch::randn(size, torch::kDouble).requires_grad_());
  return result;
}

/// Compares the gradient by each tensor with the difference of two values at some of its elements.
void check_gradients(std::vector<Tensor> tensors,
                     const std::function<Tensor(const std::vector<Tensor>&)>& f) {
  const Tensor y = f(tensors);
  const Tensor weights = torch::randn_like(y);
  (y * weights).sum().backward();
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor gradient = tensors[i].grad().flatten();
    CHECK(gradient.abs().max().item<double>() > 0.1);
    for (int64_t j = 0; j < gradient.numel(); j += 1 + gradient.numel() / 40) {
      constexpr double kStep = 1e-6;
      Tensor element = tensors[i].detach().flatten()[j];
      const auto value = [&](double step) {
        element.add_(step);
        const double result = (f(tensors) * weights).sum().item<double>();
        element.sub_(step);
        return result;
      };
      const double difference = (value(kStep) - value(-kStep)) / (2 * kStep);
      INFO("tensor " << i << " element " << j);
      // Sums of about 100 are rounded by 1e-14, which the step makes 1e-8.
      CHECK(std::abs(gradient[j].item<double>() - difference) < 1e-6 * (1 + std::abs(difference)));
    }
  }
}

Tensor deform(const std::vector<Tensor>& t) {
  return deform_conv2d(t[0], t[1], t[2], t[3], {2, 1}, {1, 2}, {1, 2}, t[4]);
}

/// Of deform(): two groups of channels and of offsets.
std::vector<std::vector<int64_t>> deform_sizes() {
  return {{2, 4, 7, 6}, {2, 36, 4, 6}, {6, 2, 3, 3}, {6}, {2, 18, 4, 6}};
}

}  // namespace

TEST_CASE("the gradients of ops are those of finite differences", "[ops]") {
  const Tensor boxes = some_boxes();
  check_gradients(variables({{2, 3, 9, 11}}),
                  [&](const auto& t) { return roi_align(t[0], boxes, {3, 2}, 1, -1, true); });
  check_gradients(variables({{2, 3, 9, 11}}),
                  [&](const auto& t) { return roi_pool(t[0], boxes, {3, 2}); });
  check_gradients(variables({{2, 12, 9, 11}}),
                  [&](const auto& t) { return ps_roi_align(t[0], boxes, {3, 2}, 1, 2); });
  check_gradients(variables(deform_sizes()), deform);
  check_gradients(variables({{3, 4}, {5, 4}}), [](const auto& t) {
    return box_iou(t[0].abs().cumsum(1), t[1].abs().cumsum(1), "xywh");
  });
}

TEST_CASE("the gradient of an operator has no gradient, and says so", "[ops][errors]") {
  const auto tensors = variables(deform_sizes());
  const auto first =
      torch::autograd::grad({deform(tensors).square().sum()}, tensors, {}, true, true);
  for (const Tensor& gradient : first) {
    CHECK_THAT(support::error([&] { gradient.sum().backward({}, true); }),
               Catch::Matchers::StartsWith("deform_conv2d: its gradient has no gradient"));
  }
  const Tensor x = variables({{2, 3, 9, 11}})[0];
  const Tensor y = roi_align(x, some_boxes(), 2).square().sum();
  const Tensor again = torch::autograd::grad({y}, {x}, {}, true, true)[0];
  CHECK_THAT(support::error([&] { again.sum().backward(); }),
             Catch::Matchers::StartsWith("roi_align: its gradient has no gradient"));
}

TEST_CASE("ops are operators of the dispatcher", "[ops]") {
  auto& dispatcher = c10::Dispatcher::singleton();
  CHECK(nms(torch::rand({3, 4}), torch::rand({3}), 0.5).numel() > 0);
  for (const char* name : {"nms", "batched_nms", "box_iou", "roi_align", "roi_pool", "ps_roi_align",
                           "deform_conv2d"}) {
    INFO(name);
    const auto handle = dispatcher.findOp({std::string("convkit::") + name, ""});
    REQUIRE(handle);
    CHECK(handle->hasSchema());
    CHECK_FALSE(dispatcher.findOp({std::string("torchvision::") + name, ""}));
  }
  const auto handle = dispatcher.findSchemaOrThrow("convkit::roi_align", "");
  const Tensor x = torch::randn({2, 3, 9, 11}, torch::kDouble);
  torch::jit::Stack stack{x, some_boxes(), 0.5, 3, 2, 2, true};
  handle.callBoxed(&stack);
  CHECK(torch::equal(stack[0].toTensor(), roi_align(x, some_boxes(), {3, 2}, 0.5, 2, true)));
}

TEST_CASE("a list of boxes is a tensor whose first column is the image", "[ops]") {
  const Tensor x = torch::randn({2, 12, 9, 11}, torch::kDouble);
  const Tensor boxes = some_boxes();
  const std::vector<Tensor> list{boxes.index_select(0, torch::tensor({0, 2})).narrow(1, 1, 4),
                                 boxes.narrow(0, 1, 1).narrow(1, 1, 4)};
  const Tensor sorted = boxes.index_select(0, torch::tensor({0, 2, 1}));
  CHECK(torch::equal(roi_align(x, list, 3), roi_align(x, sorted, 3)));
  CHECK(torch::equal(roi_pool(x, list, 3), roi_pool(x, sorted, 3)));
  CHECK(torch::equal(ps_roi_align(x, list, 2), ps_roi_align(x, sorted, 2)));
  CHECK(roi_align(x, std::vector<Tensor>(2, boxes.narrow(0, 0, 0).narrow(1, 1, 4)), 3).sizes() ==
        torch::IntArrayRef({0, 12, 3, 3}));
}

TEST_CASE("ops do without boxes, images and threads, and take any strides", "[ops]") {
  const Tensor none = torch::empty({0, 5});
  const Tensor x = torch::randn({2, 12, 9, 11}).requires_grad_();
  const Tensor y = roi_align(x, none, 2) + roi_pool(x, none, 2);
  y.sum().backward();
  CHECK(x.grad().abs().sum().item<float>() == 0);
  CHECK(ps_roi_align(x, none, 2).sizes() == torch::IntArrayRef({0, 3, 2, 2}));
  CHECK_FALSE(nms(torch::rand({2, 4}).requires_grad_(), torch::rand({2}).requires_grad_(), 0.5)
                  .requires_grad());
  CHECK(nms(torch::empty({0, 4}), torch::empty({0}), 0.5).sizes() == torch::IntArrayRef({0}));
  CHECK(batched_nms(torch::empty({0, 4}), torch::empty({0}), torch::empty({0}, torch::kLong), 0.5)
            .sizes() == torch::IntArrayRef({0}));
  CHECK(deform_conv2d(torch::empty({0, 3, 5, 5}), torch::empty({0, 18, 3, 3}),
                      torch::randn({4, 3, 3, 3}))
            .sizes() == torch::IntArrayRef({0, 4, 3, 3}));

  const Tensor boxes = some_boxes().to(torch::kFloat);
  const Tensor last = x.detach().contiguous(torch::MemoryFormat::ChannelsLast);
  const Tensor turned = boxes.t().contiguous().t();
  CHECK(torch::equal(roi_align(last, turned, 3), roi_align(x.detach(), boxes, 3)));
  CHECK(torch::equal(roi_pool(last, turned, 3), roi_pool(x.detach(), boxes, 3)));

  // Threads share the work of larger tensors; the numbers stay the same.
  const auto all = [] {
    torch::manual_seed(9);
    const Tensor map = torch::randn({2, 32, 40, 40}).requires_grad_();
    const Tensor corners = torch::rand({60, 2}) * 30;
    const Tensor regions = torch::cat({torch::ones({60, 1}), corners, corners + 9}, 1);
    (roi_align(map, regions, 7).square().sum() + roi_pool(map, regions, 7).square().sum() +
     ps_roi_align(map, regions, 4).square().sum())
        .backward();
    const Tensor candidates = torch::rand({3000, 4}).cumsum(1);
    return std::vector<Tensor>{map.grad(), nms(candidates, torch::rand({3000}), 0.6)};
  };
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto alone = all();
  at::set_num_threads(3);
  const auto together = all();
  at::set_num_threads(threads);
  CHECK(torch::equal(alone[0], together[0]));
  CHECK(torch::equal(alone[1], together[1]));
  CHECK(alone[1].numel() > 100);
}

TEST_CASE("float16 and bfloat16 are computed in float32, and so is autocast", "[ops]") {
  const Tensor x = torch::randn({2, 12, 9, 11});
  const Tensor boxes = some_boxes().to(torch::kFloat);
  for (const auto dtype : {torch::kHalf, torch::kBFloat16}) {
    const auto wide = [&](const Tensor& t) { return t.to(dtype).to(torch::kFloat); };
    const Tensor low = x.to(dtype);
    const Tensor low_boxes = boxes.to(dtype);
    CHECK(torch::equal(roi_align(low, low_boxes, 3), roi_align(wide(x), wide(boxes), 3).to(dtype)));
    CHECK(torch::equal(roi_pool(low, low_boxes, 3), roi_pool(wide(x), wide(boxes), 3).to(dtype)));
    CHECK(torch::equal(ps_roi_align(low, low_boxes, 2),
                       ps_roi_align(wide(x), wide(boxes), 2).to(dtype)));
    const auto given = variables(deform_sizes());
    std::vector<Tensor> reduced;
    std::vector<Tensor> widened;
    for (const Tensor& t : given) {
      reduced.push_back(t.detach().to(dtype).requires_grad_());
      widened.push_back(t.detach().to(dtype).to(torch::kFloat).requires_grad_());
    }
    const Tensor y = deform(reduced);
    CHECK(torch::equal(y, deform(widened).to(dtype)));
    y.sum().backward();
    deform(widened).sum().backward();
    CHECK(torch::equal(reduced[1].grad(), widened[1].grad().to(dtype)));
  }

  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, torch::kBFloat16);
  const Tensor low = x.to(torch::kBFloat16);
  const Tensor y = roi_align(low, boxes, 3);
  const Tensor kept = nms(boxes.narrow(1, 1, 4).to(torch::kHalf), torch::rand({3}), 0.5);
  std::vector<Tensor> mixed;
  for (const Tensor& t : variables(deform_sizes())) mixed.push_back(t.detach().to(torch::kFloat));
  const Tensor z = deform({mixed[0].to(torch::kBFloat16), mixed[1], mixed[2], mixed[3], mixed[4]});
  const Tensor same = deform(mixed);
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  CHECK(torch::equal(y, roi_align(low.to(torch::kFloat), boxes, 3).to(torch::kBFloat16)));
  CHECK(kept.numel() > 0);
  CHECK(z.scalar_type() == torch::kBFloat16);
  CHECK(torch::equal(same, deform(mixed)));  // its matrix product too is in float32
}

TEST_CASE("boxes that no image has give zeros, and nothing is read outside", "[ops]") {
  const Tensor x = torch::rand({1, 4, 5, 6}, torch::kDouble) + 1;
  for (const double far : {1e5, 1e9, 1e12, 1e30, 1e300, kInfinity, kNaN}) {
    const Tensor boxes = doubles({0,   far, 1, 3,   3,   0,   -far, -far, far,  far, 0, 1,   1,
                                  far, 2,   0, far, far, far, far,  0,    -far, 0,   3, -far},
                                 {5, 5});
    for (const bool aligned : {false, true}) {
      for (const int64_t samples : {0, 1, 3}) {
        const Tensor map = x.detach().requires_grad_();
        const Tensor y = roi_align(map, boxes, 2, 1, samples, aligned);
        CHECK(y.isfinite().all().item<bool>());
        y.sum().backward();
        CHECK(map.grad().isfinite().all().item<bool>());
      }
    }
    CHECK(roi_pool(x, boxes, 2).isfinite().all().item<bool>());
    CHECK(ps_roi_align(x, boxes, 2, 1, 2).isfinite().all().item<bool>());
    const Tensor single = roi_align(x.to(torch::kFloat), boxes.to(torch::kFloat), 2);
    CHECK(single.isfinite().all().item<bool>());

    const Tensor offset = torch::zeros({1, 2, 5, 6}, torch::kDouble);
    offset[0][0][2].fill_(far);
    offset[0][1][3].fill_(-far);
    const Tensor y = deform_conv2d(x, offset, torch::ones({1, 4, 1, 1}, torch::kDouble));
    CHECK(torch::equal(y[0][0][1], x.sum(1)[0][1]));
    CHECK((std::isnan(far) ? y[0][0][2].isnan().all() : (y[0][0][2] == 0).all()).item<bool>());
    const Tensor kept = nms(boxes.narrow(1, 1, 4), torch::arange(5, torch::kDouble), 0.5);
    CHECK(kept.numel() >= 1);
    CHECK(kept[0].item<int64_t>() == 4);
  }
  // A bin of a million rows sees the map in a few of them, and their sum is exact.
  const Tensor tall = doubles({0, 0, 0, 6, 2e6}, {1, 5});
  const Tensor mean = roi_align(torch::ones({1, 1, 5, 6}, torch::kDouble), tall, {2, 1});
  CHECK(std::abs(mean[0][0][0][0].item<double>() * 1e6 - 5.5) < 1);
  CHECK(mean[0][0][1][0].item<double>() == 0);
}

TEST_CASE("ops refuse what does not fit", "[ops][errors]") {
  const Tensor x = torch::ones({2, 4, 5, 6});
  const Tensor boxes = torch::zeros({3, 5});
  const auto align = [](const Tensor& input, const Tensor& given, torch::ExpandingArray<2> size,
                        int64_t samples = -1) {
    return support::error([&] { roi_align(input, given, size, 1, samples); });
  };
  CHECK(align(x[0], boxes, 2) == "roi_align: expected input [N, C, H, W], got [4, 5, 6]");
  CHECK(align(torch::ones({2, 4, 0, 6}), boxes, 2) ==
        "roi_align: expected a height and width >= 1, got [2, 4, 0, 6]");
  CHECK(align(x, boxes.narrow(1, 0, 4), 2) == "roi_align: expected boxes [K, 5], got [3, 4]");
  CHECK(align(x, boxes.to(torch::kDouble), 2) ==
        "roi_align: expected boxes of type Float, as the input, got Double");
  CHECK(align(x.to(torch::kLong), boxes.to(torch::kLong), 2) ==
        "roi_align: expected input of a floating point type, got Long");
  CHECK(align(x, boxes, {2, 0}) == "roi_align: expected output_size >= 1, got 0");
  CHECK(align(x, boxes, -3) == "roi_align: expected output_size >= 1, got -3");
  // LibTorch's words, before any memory is taken.
  CHECK_THAT(align(x, boxes, 1 << 30), Catch::Matchers::ContainsSubstring("overflow"));
  CHECK(align(x, boxes, 2, 5000) == "roi_align: expected sampling_ratio <= 4096, got 5000");
  CHECK(align({}, boxes, 2) == "roi_align: expected input, got an undefined tensor");
  CHECK(align(x, boxes.to(torch::kMeta), 2) ==
        "roi_align: expected boxes on cpu, got meta; move it with to(torch::kCPU)");
  CHECK(align(x, boxes + 2, 2) ==
        "roi_align: expected the number of one of 2 images, got 2 for box 0");
  CHECK(align(x, boxes - 1, 2) ==
        "roi_align: expected the number of one of 2 images, got -1 for box 0");
  CHECK(align(x, boxes * kNaN, 2) ==
        "roi_align: expected the number of one of 2 images, got nan for box 0");
  CHECK(support::error([&] { roi_pool(x, std::vector<Tensor>{boxes}, 2); }) ==
        "roi_pool: expected boxes [L, 4] for each image, got [3, 5]");
  CHECK(support::error([&] { roi_pool(x, std::vector<Tensor>{}, 2); }) ==
        "roi_pool: expected boxes [L, 4] for each image, got none");
  CHECK(support::error([&] { roi_pool(x, std::vector<Tensor>(3, torch::ones({1, 4})), 2); }) ==
        "roi_pool: expected the number of one of 2 images, got 2 for box 2");
  CHECK(support::error([&] { ps_roi_align(x, boxes, {3, 1}); }) ==
        "ps_roi_align: expected channels divisible by the number of bins, 3 x 1, got 4");
  CHECK(support::error([] { nms(torch::ones({3, 5}), torch::ones({3}), 0.5); }) ==
        "nms: expected boxes [N, 4], got [3, 5]");
  CHECK(support::error([] { nms(torch::ones({3, 4}), torch::ones({2}), 0.5); }) ==
        "nms: expected scores [3], one for each box, got [2]");
  CHECK(support::error([] { nms(torch::ones({3, 4}), torch::ones({3}, torch::kDouble), 0.5); }) ==
        "nms: expected scores of type Float, as the boxes, got Double");
  CHECK(support::error([] {
          batched_nms(torch::ones({3, 4}), torch::ones({3}), torch::ones({3, 1}), 0.5);
        }) == "batched_nms: expected idxs [3], one for each box, got [3, 1]");
  CHECK(support::error([] { box_iou(torch::ones({3, 4}), torch::ones({4})); }) ==
        "box_iou: expected boxes [..., N, 4], got [4]");
  CHECK(support::error([] { box_iou(torch::ones({3, 4}), torch::ones({3, 4}), "xywhr"); }) ==
        "box_iou: expected fmt xyxy, xywh or cxcywh, got xywhr");
}

TEST_CASE("deform_conv2d refuses what does not fit", "[ops][errors]") {
  const Tensor x = torch::ones({2, 4, 5, 6});
  const Tensor weight = torch::ones({4, 4, 3, 3});
  const Tensor offset = torch::zeros({2, 18, 3, 4});
  const auto error = [&](const Tensor& input, const Tensor& given, const Tensor& kernel,
                         const Tensor& bias = {}, int64_t stride = 1, int64_t padding = 0,
                         int64_t dilation = 1, const Tensor& mask = {}) {
    return support::error(
        [&] { deform_conv2d(input, given, kernel, bias, stride, padding, dilation, mask); });
  };
  CHECK(error(x, offset, weight) == "no error");
  CHECK(error(x[0], offset, weight) == "deform_conv2d: expected input [N, C, H, W], got [4, 5, 6]");
  CHECK(error(x, offset, weight[0]) ==
        "deform_conv2d: expected weight [O, C / groups, kh, kw], got [4, 3, 3]");
  CHECK(error(x, offset.narrow(1, 0, 17), weight) ==
        "deform_conv2d: expected offset [N, 18 G, H', W'], got [2, 17, 3, 4]");
  CHECK(error(x, offset.narrow(2, 0, 2), weight) ==
        "deform_conv2d: expected offset [2, 18, 3, 4], got [2, 18, 2, 4]");
  CHECK(error(x, offset.repeat({1, 3, 1, 1}), weight) ==
        "deform_conv2d: expected input channels divisible by the 3 groups of offsets, got 4");
  CHECK(error(x, offset, weight, {}, 0) == "deform_conv2d: expected stride >= 1, got 0");
  CHECK(error(x, offset, weight, {}, 1, -1) ==
        "deform_conv2d: expected padding from 0 to 2147483647, got -1");
  CHECK(error(x, offset, weight, {}, 1, 0, 0) == "deform_conv2d: expected dilation >= 1, got 0");
  CHECK(error(x, offset, weight, {}, 1, 0, 3) ==
        "deform_conv2d: expected an input of at least the kernel's size, got [2, 4, 5, 6] for "
        "weight [4, 4, 3, 3]");
  CHECK(error(x, offset, weight, torch::ones({3})) == "deform_conv2d: expected bias [4], got [3]");
  CHECK(error(x, offset, weight, {}, 1, 0, 1, torch::ones({2, 9, 3, 3})) ==
        "deform_conv2d: expected mask [2, 9, 3, 4], got [2, 9, 3, 3]");
  CHECK(error(x, offset, weight.to(torch::kDouble)) ==
        "deform_conv2d: expected weight of type Float, as the input, got Double");
  CHECK(error(x, offset, torch::ones({4, 3, 3, 3})) ==
        "deform_conv2d: expected input of 3 channels for weight [4, 3, 3, 3] and 1 groups, got "
        "[2, 4, 5, 6]");
  CHECK(error(x, offset, torch::ones({3, 2, 3, 3})) ==
        "deform_conv2d: expected weight of a number of channels divisible by groups 2, got "
        "[3, 2, 3, 3]");
  CHECK(error(x, {}, weight) == "deform_conv2d: expected offset, got an undefined tensor");

  CHECK(support::error([] { DeformConv2d conv(DeformConv2dOptions(4, 8, 3).groups(3)); }) ==
        "DeformConv2d: expected in_channels divisible by groups 3, got 4");
  CHECK(support::error([] { DeformConv2d conv(4, 8, 0); }) ==
        "DeformConv2d: expected kernel_size >= 1, got 0");
  DeformConv2d conv(3, 8, 3);
  CHECK(support::error([&] { conv(x, offset); }) ==
        "DeformConv2d: expected input [N, 3, H, W], got [2, 4, 5, 6]");
}

TEST_CASE("DeformConv2d without offsets is a convolution, with its weights and MACs", "[ops]") {
  const auto printed = [](const DeformConv2d& module) {
    std::ostringstream stream;
    stream << *module;
    return stream.str();
  };
  torch::manual_seed(3);
  DeformConv2d deformed(DeformConv2dOptions(4, 6, {3, 2}).stride({1, 2}).padding(1).groups(2));
  torch::manual_seed(3);
  torch::nn::Conv2d plain(
      torch::nn::Conv2dOptions(4, 6, {3, 2}).stride({1, 2}).padding(1).groups(2));
  CHECK(torch::equal(deformed->weight, plain->weight));
  CHECK(torch::equal(deformed->bias, plain->bias));
  CHECK(support::keys(*deformed) == std::vector<std::string>{"weight", "bias"});
  CHECK(support::keys(*DeformConv2d(DeformConv2dOptions(4, 6, 3).bias(false))) ==
        std::vector<std::string>{"weight"});
  CHECK(printed(deformed) ==
        "DeformConv2d(4, 6, kernel_size=(3, 2), stride=(1, 2), padding=(1, 1), groups=2)");
  CHECK(printed(DeformConv2d(DeformConv2dOptions(4, 6, 3).dilation({1, 2}).bias(false))) ==
        "DeformConv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), dilation=(1, 2), bias=False)");

  const Tensor x = torch::randn({2, 4, 7, 8});
  const Tensor offset = torch::zeros({2, 12, 7, 5});
  const Tensor y = deformed(x, offset);
  // Two kernels sum the same 12 products in another order.
  CHECK((y - plain(x)).abs().max().item<float>() < 1e-5F * plain(x).abs().max().item<float>());
  CHECK(torch::equal(deformed(x, offset, torch::full({2, 6, 7, 5}, 1.0F)), y));

  const Summary ours = summarize(*deformed, [&] { deformed(x, offset); });
  const Summary theirs = summarize(*plain, [&] { plain(x); });
  CHECK(ours.macs == theirs.macs);
  CHECK(ours.macs == 2 * 6 * 7 * 5 * 2 * 6);
  CHECK(ours.rows.at(0).calls == 1);

  auto copy = std::dynamic_pointer_cast<DeformConv2dImpl>(deformed->clone());
  copy->weight.detach().add_(1);
  CHECK_FALSE(torch::equal(copy->forward(x, offset), y));
  CHECK(torch::equal(deformed(x, offset), y));
}
