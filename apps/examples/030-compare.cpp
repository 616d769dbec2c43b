// A module of one's own in C++ is compared with the same one in Python:
//   python -m convkit.record tiny_net.py:TinyNet --input 2,3,32,32 --train -o tiny_net.safetensors
//   030-compare tiny_net.safetensors
#include <convkit/convkit.h>

#include <iostream>

struct TinyNetImpl : convkit::Block<TinyNetImpl> {
  TinyNetImpl() { TinyNetImpl::reset(); }
  void reset() override {
    body = register_module(
        "body", convkit::Sequential{convkit::ConvBlock(3, 16), convkit::SeparableConv2d(16, 32),
                                    convkit::Upsampler(32, 8)});
  }
  torch::Tensor forward(const torch::Tensor& x) override { return body(x); }
  convkit::Sequential body{nullptr};
};
CONVKIT_MODULE(TinyNet);

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: 030-compare RECORDING\n";
    return 2;
  }
  const auto recording = convkit::load_recording(argv[1]);
  torch::set_num_threads(static_cast<int>(recording.threads));
  torch::manual_seed(static_cast<uint64_t>(recording.seed));  // for the same fresh weights
  TinyNet net;
  const auto comparison = convkit::compare(*net, recording);
  std::cout << comparison;
  return comparison ? 0 : 1;
}
