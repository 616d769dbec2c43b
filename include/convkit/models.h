#pragma once

#include <convkit/models/alexnet.h>
#include <convkit/models/convnext.h>
#include <convkit/models/dcgan.h>
#include <convkit/models/densenet.h>
#include <convkit/models/edsr.h>
#include <convkit/models/efficientnet.h>
#include <convkit/models/googlenet.h>
#include <convkit/models/inception.h>
#include <convkit/models/mnasnet.h>
#include <convkit/models/mobilenetv1.h>
#include <convkit/models/mobilenetv2.h>
#include <convkit/models/mobilenetv3.h>
#include <convkit/models/regnet.h>
#include <convkit/models/resnet.h>
#include <convkit/models/segmentation.h>
#include <convkit/models/shufflenetv2.h>
#include <convkit/models/squeezenet.h>
#include <convkit/models/unet.h>
#include <convkit/models/vgg.h>
#include <convkit/models/video.h>
#include <convkit/models/xception.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// All networks, and how to get one by its name.
namespace convkit::models {

/// A network of any family, as `create` makes it. It is a holder like those of the families, and
/// can be made from one of them.
///
///     auto net = convkit::models::create("resnet18", {.num_classes = 10});
///     torch::Tensor y = net(x);
class CONVKIT_API Network : public torch::nn::ModuleHolder<torch::nn::Module> {
 public:
  using Impl = torch::nn::Module;  ///< what it holds, of any family

  explicit Network(std::shared_ptr<torch::nn::Module> network) : ModuleHolder(std::move(network)) {}
  template <typename Contained>
  Network(const torch::nn::ModuleHolder<Contained>& network)  // NOLINT(google-explicit-constructor)
      : Network(std::shared_ptr<torch::nn::Module>(network.ptr())) {}

  /// Gives the result, of a network with several heads the main one.
  torch::Tensor operator()(const torch::Tensor& x);

  /// Calls MultiHead::outputs; of a network with one head its result is `out`.
  MultiHead::Outputs outputs(const torch::Tensor& x);

  /// Calls Backbone::features.
  /// Throws: c10::TypeError for a network that is no Backbone, one for segmentation.
  std::vector<torch::Tensor> features(const torch::Tensor& x);
};

/// The options that all networks of `create` have.
struct CreateOptions {
  /// By default Python's: 1000, 21 for segmentation and 400 for videos; and 1 for a Unet.
  std::optional<int64_t> num_classes = std::nullopt;
};

/// A published file with the weights of a network, which load_checkpoint() reads.
struct CONVKIT_API PublishedWeights {
  std::string name;  ///< Python's, such as IMAGENET1K_V1
  std::string url;

  /// The last part of the address, such as resnet18-f37072fd.pth.
  [[nodiscard]] std::string file() const;
  /// What the SHA-256 of the file begins with, as its name ends in it: f37072fd. It is empty for a
  /// file that is named otherwise.
  [[nodiscard]] std::string sha256() const;
};

/// What is known of a network before it is made.
struct Description {
  std::string name;
  std::string source;          ///< its Python module, such as torchvision.models.resnet: the family
  std::vector<int64_t> input;  ///< its size as the DEFAULT weights of Python take it
  int64_t parameters;
  int64_t macs;  ///< of the main head, for that input, as summarize() counts them
  /// How many tensors a state_dict of it has, without those that a file may lack: auxiliary heads,
  /// whose names begin with aux, and num_batches_tracked.
  int64_t tensors;
  std::vector<PublishedWeights> weights;  ///< in the order of Python; none for a Unet
};

/// torchvision's and timm's names of the networks, and unet_ with the name of the encoder.
CONVKIT_API std::vector<std::string> names();

/// Makes the network of a name, with fresh weights.
///
/// Throws:  c10::ValueError for an unknown name, with the nearest ones, and num_classes below 1.
/// Source:  torchvision.models.get_model(name, weights=None), timm.create_model(name)
/// Differs: names are in lower case.
CONVKIT_API Network create(const std::string& name, const CreateOptions& options = {});

/// Describes the network of a name.
///
///     for (const auto& weights : models::describe("resnet18").weights) std::cout << weights.url;
///
/// Throws:  c10::ValueError for an unknown name, with the nearest ones.
/// Source:  torchvision.models.get_model_weights(name), and FlopCounterMode
CONVKIT_API Description describe(const std::string& name);

}  // namespace convkit::models
