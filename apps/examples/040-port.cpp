// A network of Python's, segmenter.py, is a page of C++, segmenter.h, and proved by what Python recorded:
//   python -m convkit.port segmenter.py:Segmenter --input 2,3,32,48 -o segmenter.h
//   python -m convkit.record segmenter.py:Segmenter --input 2,3,32,48 --train -o segmenter.safetensors
//   040-port segmenter.safetensors
#include "segmenter.h"

#include <convkit/compare.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: 040-port RECORDING\n";
    return 2;
  }
  const auto recording = convkit::load_recording(argv[1]);
  torch::set_num_threads(static_cast<int>(recording.threads));
  segmenter::Segmenter net;
  const auto comparison = convkit::compare(*net, recording);
  std::cout << comparison;
  return comparison ? 0 : 1;
}
