// The examples in the doc comments of the headers, word for word. They are compiled and not run: their files and
// datasets are nobody's. readme_test.py holds the comments to this text.
#include <convkit/convkit.h>

#include <torch/nn/modules/embedding.h>

#include <array>
#include <cstddef>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace examples {

using namespace convkit;

const std::vector<std::pair<torch::Tensor, torch::Tensor>> batches;
const torch::Tensor x, y, image, images, labels, boxes;
const StateDict state;

void train();
void train(const torch::Tensor& images, const torch::Tensor& labels);
torch::Tensor loss(const torch::Tensor& y, const torch::Tensor& target);
torch::Tensor augment(const torch::Tensor& image, std::optional<at::Generator> generator);

// arithmetic.h
static_assert(conv_output_size(32, {.kernel_size = 3, .stride = 2, .padding = 1}) == 16);

static_assert(conv2d_parameters({.in_channels = 3, .out_channels = 64, .kernel_size = 3}) == 1792);

constexpr auto seen = ReceptiveField{}
                          .then({.kernel_size = 7, .stride = 2, .padding = 3})
                          .then({.kernel_size = 3, .stride = 2, .padding = 1});
static_assert(seen.size == 11 && seen.jump == 4 && seen.start == -5);

// module.h
struct TwiceImpl : convkit::Block<TwiceImpl> {
  TwiceImpl() { TwiceImpl::reset(); }
  void reset() override {
    conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 3, 1)));
  }
  torch::Tensor forward(const torch::Tensor& x) override { return conv(conv(x)); }
  torch::nn::Conv2d conv{nullptr};
};
CONVKIT_MODULE(Twice);

struct RenamedImpl : Block<RenamedImpl> {
  std::string current_key(const std::string& key) const override {
    return key == "gamma" ? "weight" : key;
  }
};

void tie(torch::nn::Linear head, torch::nn::Embedding embedding) {
  head->weight = convkit::tie_parameter(*head, "weight", embedding->weight);
}

// parametrize.h
void parametrize() {
  auto conv = convkit::WeightNorm(torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3)));
  auto linear = convkit::SpectralNorm(torch::nn::Linear(8, 4));
}

// models.h, models/
void networks() {
  auto net = convkit::models::create("resnet18", {.num_classes = 10});
  torch::Tensor y = net(x);

  for (const auto& weights : models::describe("resnet18").weights) std::cout << weights.url;
}

void fcn() {
  auto net = convkit::models::fcn_resnet50({.aux_loss = true});
  auto outputs = net->outputs(x);  // "out" and "aux"
}

void googlenet() {
  auto net = convkit::models::googlenet();
  auto outputs = net->outputs(x);  // "logits", and in training "aux_logits2" and "aux_logits1"
}

void inception() {
  auto net = convkit::models::inception_v3();
  auto outputs = net->outputs(x);  // "logits", and in training "aux_logits"
}

void unet() {
  using namespace convkit::models::unet;
  Unet net(UnetOptions{.encoder_name = "resnet18", .classes = 3});
}

// checkpoint.h, state_dict.h, tree.h
void files(ConvBlock net, const std::string& bytes, const optim::SGD& optimizer) {
  load_state_dict(*net, load_checkpoint("weights.pt").state);

  {
    auto state = load_checkpoint(std::as_bytes(std::span(bytes))).state;
  }
  {
    save_checkpoint("weights.safetensors", state_dict(*net), {.metadata = {{"format", "pt"}}});
  }
  {
    std::vector<std::byte> bytes = save_checkpoint(state_dict(*net), ".safetensors");
  }
  {
    save_torchscript(*net, torch::randn({1, 3, 224, 224}), "net.pt");
  }
  {
    load_state_dict(*net, state, {.prefix = "module."});
  }

  Tree training = Tree::dict();
  training.set("model", state_dict(*net));
  training.set("optimizer", optimizer.state_dict());
  training.set("epoch", 3);
  save_tree("training.pt", training);
}

// compare.h, compare_training.h
void comparing() {
  auto recording = convkit::load_recording("resnet18.safetensors");
  torch::manual_seed(recording.seed);
  auto net = convkit::models::resnet18();
  auto comparison = convkit::compare(*net, recording);
  std::cout << comparison.text();
}

struct DetectorImpl : Cloneable<DetectorImpl> {
  void reset() override {}
  std::tuple<torch::Tensor, torch::Tensor> forward(const torch::Tensor& image,
                                                   const torch::Tensor& sizes);
};
CONVKIT_MODULE(Detector);

void comparing_several(Detector net, const Recording& recording) {
  using Tensors = std::vector<torch::Tensor>;
  const auto forward = [&](const Tensors& x) -> Tensors {
    const auto [boxes, scores] = net(x[0], x[1]);
    return {boxes, scores};
  };
  auto comparison = convkit::compare(*net, forward, recording);
}

void comparing_training(models::resnet::ResNet net) {
  auto comparison =
      convkit::compare_training(*net, convkit::load_recording("resnet18.safetensors"));
  std::cout << comparison;  // training: 50 of 50 steps equal
}

// summary.h, compile.h
void looking(models::resnet::ResNet net) {
  std::cout << convkit::summarize(*net, torch::randn({1, 3, 224, 224}));

  auto fast = convkit::compile(net, torch::randn({1, 3, 224, 224}));
  torch::Tensor y = fast(x);
}

void compiling_several(Detector net, const torch::Tensor& sizes) {
  const auto forward = [net](const Compiled::Tensors& x) mutable -> Compiled::Tensors {
    const auto [boxes, scores] = net(x[0], x[1]);
    return {boxes, scores};
  };
  auto fast = convkit::compile(net.ptr(), forward, {image, sizes});
  const Compiled::Tensors results = fast(Compiled::Tensors{image, sizes});
}

void classifying(models::Network net) {
  torch::Tensor image = convkit::read_image("photographs/cat/1.png");
  torch::Tensor logits = net(convkit::models::preset("resnet18")(image).unsqueeze(0));
}

void training_on_images(models::Network net) {
  convkit::data::ImageFolder dataset("photographs", {.transform = augment});
  convkit::data::DataLoader loader(dataset, {.batch_size = 4, .shuffle = true, .num_workers = 2});
  convkit::optim::SGD optimizer(net->parameters(), {.lr = 0.01, .momentum = 0.9});
}

// image.h, transforms.h, sample.h, color.h, transform_modules.h, presets.h
void reading() {
  torch::Tensor image = convkit::read_image("photo.jpg");  // uint8 [3, H, W]
}

void transforming() {
  namespace T = convkit::transforms;
  torch::Tensor x = T::center_crop(T::resize(image, {256}), {224, 224});
  x = T::normalize(T::to_tensor(x), {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225});
}

void samples() {
  namespace T = convkit::transforms;
  T::Sample sample{.image = image,
                   .boxes = T::BoundingBoxes{boxes, T::BoxFormat::kXyxy, {480, 640}}};
  sample = T::random_horizontal_flip(T::random_resized_crop(sample, {224}));
}

void colors() {
  namespace T = convkit::transforms;
  torch::Tensor x = T::adjust_hue(T::adjust_contrast(image, 1.5), 0.1);
}

void augmenting(const std::array<double, 3>& mean, const std::array<double, 3>& std) {
  namespace T = convkit::transforms;
  convkit::Sequential augment{T::RandomResizedCrop(224), T::RandomHorizontalFlip(),
                              T::ColorJitter(T::ColorJitterOptions{.brightness = {0.4}}),
                              T::ToTensor(), T::Normalize(mean, std)};
  torch::Tensor x = augment(image);
}

void augmenting_by(convkit::Sequential augment, const at::Generator& generator) {
  namespace T = convkit::transforms;
  const T::GeneratorScope scope(generator);
  torch::Tensor x = augment(image);
}

void presets(models::resnet::ResNet net) {
  torch::Tensor logits = net(models::preset("resnet18")(image).unsqueeze(0));
}

// dataset.h, data.h
struct Noise {
  int64_t size() const { return 100; }
  torch::Tensor get(int64_t index, std::optional<at::Generator> generator) const;
};

void datasets() {
  using namespace convkit::data;
  {
    TensorDataset dataset(images, labels);
  }
  {
    ImageFolder dataset("flowers/train", {.transform = augment});  // flowers/train/rose/01.jpg

    const auto parts = random_split(dataset, {0.9, 0.1});
  }
}

void loading(const data::ImageFolder& dataset) {
  convkit::data::DataLoader loader(dataset, {.batch_size = 32, .shuffle = true, .num_workers = 4});
  for (const auto& [images, labels] : loader) train(images, labels);
}

// optim.h, clip_grad.h, amp.h, averaging.h
void optimizing(ConvBlock net) {
  convkit::optim::AdamW optimizer(net->parameters(), {.lr = 1e-3, .weight_decay = 0.05});
  for (const auto& [x, y] : batches) {
    optimizer.zero_grad();
    loss(net(x), y).backward();
    optimizer.step();
  }
}

void two_rates(const std::vector<torch::Tensor>& backbone, const std::vector<torch::Tensor>& head) {
  using namespace convkit::optim;
  SGD optimizer({{backbone, {.lr = 1e-3}}, {head, {.lr = 1e-2}}});
}

void clipping(ConvBlock net, const torch::Tensor& loss, optim::SGD& optimizer) {
  loss.backward();
  convkit::optim::clip_grad_norm_(net->parameters(), 1.0);
  optimizer.step();
}

void half(ConvBlock net, optim::SGD& optimizer) {
  for (const auto& [x, y] : batches) {
    optimizer.zero_grad();
    torch::Tensor loss;
    {
      const convkit::amp::Autocast autocast(torch::kCPU);
      loss = torch::mse_loss(net(x), y);
    }
    loss.backward();
    optimizer.step();
  }
}

void scaling(amp::GradScaler& scaler, const torch::Tensor& loss, optim::SGD& optimizer) {
  scaler.scale(loss).backward();
  scaler.step(optimizer);
  scaler.update();
}

void averaging(ConvBlock net, optim::SGD& optimizer) {
  using namespace convkit::optim;
  convkit::optim::AveragedModel average(*net, {.ema_decay = 0.999});
  for (const auto& [x, y] : batches) {
    optimizer.zero_grad();
    loss(net(x), y).backward();
    optimizer.step();
    average.update_parameters(*net);
  }

  update_bn(average, [&] {
    for (const auto& [x, y] : batches) average.forward(x);
  });
}

// lr_scheduler.h, lr_policies.h
void schedules(optim::SGD& optimizer) {
  convkit::optim::CosineAnnealingLR schedule(optimizer, {.T_max = 90});
  for (int epoch = 0; epoch < 90; ++epoch) {
    train();
    schedule.step();
  }
}

void warming_up(optim::SGD& optimizer) {
  using namespace convkit::optim;
  auto warmup = std::make_shared<LinearLR>(optimizer, LinearLROptions{.total_iters = 5});
  auto cosine = std::make_shared<CosineAnnealingLR>(optimizer, CosineAnnealingLROptions{85});
  SequentialLR schedule(optimizer, {warmup, cosine}, {5});
}

// parallel.h
void processes(optim::SGD& optimizer, const Tree& all) {
  const auto group = convkit::parallel::init_process_group();
  auto net = convkit::models::resnet18();
  convkit::parallel::DistributedDataParallel ddp(net, group);
  for (const auto& [x, y] : batches) {
    optimizer.zero_grad();
    loss(ddp(x), y).backward();
    optimizer.step();
  }
  if (group.rank() == 0) save_tree("resume.pt", all);  // one process writes,
  group.barrier();                                     // and the others wait for it
}

void process(models::resnet::ResNet net, const parallel::ProcessGroup& group) {
  convkit::parallel::DistributedDataParallel ddp(net, group);
  torch::cross_entropy_loss(ddp(x), y).backward();

  const torch::Tensor x0, y0, x1, y1;
  {
    const auto alone = ddp.no_sync();
    loss(ddp(x0), y0).backward();
  }
  loss(ddp(x1), y1).backward();
}

}  // namespace examples
