#pragma once

#include <convkit/module.h>

#include <cstdint>

/// The two networks of a DCGAN, https://arxiv.org/abs/1511.06434, with the names of PyTorch's example.
/// That is a script and no package, so what they are compared with is written anew from it, in
/// tests/parity/written_networks.py. models::create() has neither, since they have no classes.
namespace convkit::models::dcgan {

/// y = main(x): noise becomes an image by transposed convolutions of stride 2, each with a norm and a
/// ReLU, and a tanh.
///
/// Shape:   x [N, nz, 1, 1] -> y [N, nc, 64, 64]; an x [N, nz, H, W] gives 16 (H + 3), 16 (W + 3)
/// Keys:    main.{0,3,6,9,12}.weight main.{1,4,7,10}.* of the norms
/// Throws:  c10::ValueError for channels below 1, and for an input that is not [N, nz, H, W] of the
///          weights' type and device.
/// Source:  Generator of https://github.com/pytorch/examples/blob/main/dcgan/main.py, BSD 3-Clause
/// Differs: its sizes are arguments, with the defaults of the example's, and there is no ngpu.
class CONVKIT_API GeneratorImpl : public Block<GeneratorImpl> {
 public:
  explicit GeneratorImpl(int64_t nz = 100, int64_t ngf = 64, int64_t nc = 3);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t nz;
  int64_t ngf;
  int64_t nc;
  Sequential main{nullptr};
};
CONVKIT_MODULE(Generator);

/// y = main(x): how true an image is, by convolutions of stride 2, each with a LeakyReLU and all but
/// the first with a norm, and a sigmoid.
///
/// Shape:   x [N, nc, 64, 64] -> y [N]; a larger image gives a number for each field of it
/// Keys:    main.{0,2,5,8,11}.weight main.{3,6,9}.* of the norms
/// Throws:  c10::ValueError for channels below 1, and for an input that is not [N, nc, H, W] of the
///          weights' type and device; c10::Error for a smaller image.
/// Source:  Discriminator of https://github.com/pytorch/examples/blob/main/dcgan/main.py, BSD 3-Clause
/// Differs: its sizes are arguments, with the defaults of the example's, and there is no ngpu.
class CONVKIT_API DiscriminatorImpl : public Block<DiscriminatorImpl> {
 public:
  explicit DiscriminatorImpl(int64_t nc = 3, int64_t ndf = 64);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t nc;
  int64_t ndf;
  Sequential main{nullptr};
};
CONVKIT_MODULE(Discriminator);

}  // namespace convkit::models::dcgan
