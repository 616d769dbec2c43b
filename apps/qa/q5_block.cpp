// ConvBlock: convolution, batch normalisation, ReLU as one module.
#include "qa.h"

#include <convkit/blocks.h>

#include <c10/util/StringUtil.h>
#include <fmt/format.h>

namespace q5 {

void print_answer() {
  convkit::ConvBlock block(3, 64);
  const torch::Tensor x = torch::randn({1, 3, 32, 32});
  fmt::print("{}\n\n", c10::str(block));
  fmt::print("input       {}\n", c10::str(x.sizes()));
  fmt::print("output      {}\n", c10::str(block(x).sizes()));
  fmt::print("parameters  {}\n", qa::with_commas(convkit::parameter_count(*block)));

  fmt::print("\nKeys of its state_dict, as in Python\n");
  for (const auto& parameter : block->named_parameters()) fmt::print("  {}\n", parameter.key());
  for (const auto& buffer : block->named_buffers()) fmt::print("  {}\n", buffer.key());
}

}  // namespace q5

int q5_block(int argc, char** argv) {
  return qa::answer(argc, argv, "5. How to create a reusable convolution block?", q5::print_answer);
}
