// Compares a module of one's own with Python's:
//   python convkit/record.py tiny_net.py:TinyNet --input 2,3,32,32 --train -o tiny_net.safetensors
//   tiny_net tiny_net.safetensors
#include "cli.h"

#include <convkit/convkit.h>

#include <iostream>

namespace {

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

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Compares README.md's TinyNet with a recording of tiny_net.py's.", "tiny_net");
  std::string file;
  app.add_option("RECORDING", file, "A file of record.py")->required();
  return cli::run(app, argc, argv, [&] {
    const auto recording = convkit::load_recording(file);
    torch::set_num_threads(static_cast<int>(recording.threads));
    torch::manual_seed(static_cast<uint64_t>(recording.seed));  // for the same fresh weights
    TinyNet net;
    const auto comparison = convkit::compare(*net, recording);
    std::cout << comparison;
    return comparison ? 0 : 1;
  });
}
