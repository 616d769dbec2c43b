#include <convkit/models/dcgan.h>

#include "core/check.h"
#include "models/start.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

namespace convkit::models::dcgan {

namespace nn = torch::nn;

namespace {

/// Makes a 4 x 4 kernel halve or double the size, or span all of a 4 x 4 map.
template <typename Options>
Options kernel(int64_t in_channels, int64_t out_channels, bool spans) {
  return Options(in_channels, out_channels, 4)
      .stride(spans ? 1 : 2)
      .padding(spans ? 0 : 1)
      .bias(false);
}

nn::ConvTranspose2d doubling(int64_t in_channels, int64_t out_channels, bool spans = false) {
  return nn::ConvTranspose2d(kernel<nn::ConvTranspose2dOptions>(in_channels, out_channels, spans));
}

nn::Conv2d halving(int64_t in_channels, int64_t out_channels, bool spans = false) {
  return nn::Conv2d(kernel<nn::Conv2dOptions>(in_channels, out_channels, spans));
}

nn::LeakyReLU leaky_relu() {
  return nn::LeakyReLU(nn::LeakyReLUOptions().negative_slope(0.2).inplace(true));
}

/// Does what the example's weights_init does.
void start_weights(Sequential& layers) {
  for (const auto& layer : layers->children()) {
    if (auto* conv = layer->as<nn::Conv2d>()) nn::init::normal_(conv->weight, 0, 0.02);
    if (auto* conv = layer->as<nn::ConvTranspose2d>()) nn::init::normal_(conv->weight, 0, 0.02);
    if (auto* norm = layer->as<nn::BatchNorm2d>()) {
      nn::init::normal_(norm->weight, 1, 0.02);
      nn::init::zeros_(norm->bias);
    }
  }
}

}  // namespace

GeneratorImpl::GeneratorImpl(int64_t nz, int64_t ngf, int64_t nc) : nz(nz), ngf(ngf), nc(nc) {
  GeneratorImpl::reset();
}

void GeneratorImpl::reset() {
  convkit::detail::check_positive("Generator", "nz", nz);
  convkit::detail::check_positive("Generator", "8 ngf", 8 * ngf);
  convkit::detail::check_positive("Generator", "nc", nc);
  main = register_module("main", Sequential());
  int64_t channels = nz;
  for (const int64_t factor : {8, 4, 2, 1}) {
    main->push_back(doubling(channels, factor * ngf, /*spans=*/factor == 8));
    main->push_back(nn::BatchNorm2d(factor * ngf));
    main->push_back(detail::relu());
    channels = factor * ngf;
  }
  main->push_back(doubling(channels, nc));
  main->push_back(nn::Tanh());
  start_weights(main);
}

torch::Tensor GeneratorImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("Generator", x, nz, convkit::detail::Batch::kRequired,
                               main[0]->as<nn::ConvTranspose2d>()->weight);
  return main(x);
}

DiscriminatorImpl::DiscriminatorImpl(int64_t nc, int64_t ndf) : nc(nc), ndf(ndf) {
  DiscriminatorImpl::reset();
}

void DiscriminatorImpl::reset() {
  convkit::detail::check_positive("Discriminator", "nc", nc);
  convkit::detail::check_positive("Discriminator", "8 ndf", 8 * ndf);
  main = register_module("main", Sequential{halving(nc, ndf), leaky_relu()});
  for (const int64_t factor : {1, 2, 4}) {
    main->push_back(halving(factor * ndf, 2 * factor * ndf));
    main->push_back(nn::BatchNorm2d(2 * factor * ndf));
    main->push_back(leaky_relu());
  }
  main->push_back(halving(8 * ndf, 1, /*spans=*/true));
  main->push_back(nn::Sigmoid());
  start_weights(main);
}

torch::Tensor DiscriminatorImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("Discriminator", x, nc, convkit::detail::Batch::kRequired,
                               main[0]->as<nn::Conv2d>()->weight);
  return main(x).view({-1});
}

}  // namespace convkit::models::dcgan
