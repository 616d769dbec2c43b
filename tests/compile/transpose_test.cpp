// The loop that takes images from one layout to the other, which has blocks, edges and threads.
#include "compile/engines/transpose.h"

#include <torch/types.h>

#include <ATen/Parallel.h>

#include <catch2/catch_test_macros.hpp>

using convkit::detail::transpose;

TEST_CASE("matrices of any size are transposed", "[compile]") {
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    for (const int64_t rows : {1, 3, 4, 63, 66, 515, 1026}) {
      for (const int64_t columns : {1, 2, 3, 8, 17, 64, 1029}) {
        for (const int64_t more : {0, 5}) {
          const int64_t count = more == 0 ? 3 : 1;  // those with gaps are parts of one image
          INFO(count << " of " << rows << " x " << columns << ", " << threads << " threads");
          const auto x = torch::randn({count, rows, columns});
          const auto y = torch::full({count, columns, rows + more}, 7.0);
          transpose({count, rows, columns, rows + more}, x.const_data_ptr<float>(),
                    y.mutable_data_ptr<float>());
          CHECK(torch::equal(y.narrow(2, 0, rows), x.transpose(1, 2)));
          CHECK((y.narrow(2, rows, more) == 7.0).all().item<bool>());
        }
      }
    }
  }
  at::set_num_threads(1);
}
