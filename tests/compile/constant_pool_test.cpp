#include "compile/plan/constant_pool.h"

#include <ATen/ATen.h>

#include <catch2/catch_test_macros.hpp>
#include <set>
#include <vector>

using convkit::detail::ConstantPool;
using convkit::detail::digest_of;

TEST_CASE("equal constants share memory, and others do not", "[compile][plan]") {
  ConstantPool pool;
  const torch::Tensor given = torch::randn({4, 5, 6});
  const torch::Tensor copy = pool.copy_of(given);
  CHECK(torch::equal(copy, given));
  CHECK(copy.strides() == given.strides());
  CHECK_FALSE(copy.is_alias_of(given));
  CHECK(pool.copy_of(given.clone()).is_alias_of(copy));
  const torch::Tensor turned = pool.copy_of(given.permute({2, 0, 1}));  // the same bytes in memory
  CHECK(torch::equal(turned, given.permute({2, 0, 1})));
  CHECK(turned.is_alias_of(copy));
  torch::Tensor other = given.clone();
  other[3][4][5] += 1;  // the last one alone
  CHECK_FALSE(pool.copy_of(other).is_alias_of(copy));
  CHECK(torch::equal(pool.copy_of(given.slice(1, 0, 5, 2)), given.slice(1, 0, 5, 2)));
  CHECK(torch::equal(pool.copy_of(torch::_neg_view(given)), -given));
  CHECK(pool.copy_of(torch::empty({0, 3})).sizes() == torch::IntArrayRef({0, 3}));
}

TEST_CASE("expanded constants are held as they are", "[compile][plan]") {
  ConstantPool pool;
  const torch::Tensor row = torch::randn({1, 3});
  const torch::Tensor given = row.expand({int64_t{1} << 40, 3});
  const torch::Tensor copy = pool.copy_of(given);
  CHECK(copy.sizes() == given.sizes());
  CHECK(copy.strides() == given.strides());
  CHECK(torch::equal(copy.narrow(0, 7, 1), row));
  CHECK(copy.storage().nbytes() == 3 * sizeof(float));
}

TEST_CASE("constants live as long as somebody has them", "[compile][plan]") {
  ConstantPool pool;
  torch::Tensor one = pool.copy_of(torch::ones({1000}));
  CHECK(pool.bytes() == 4000);
  const c10::Storage packed = torch::ones({1000}).storage();
  CHECK(pool.share(packed).is_alias_of(one.storage()));
  const c10::Storage kept = pool.share(torch::zeros({10}).storage());
  CHECK(pool.bytes() == 4040);
  one.reset();
  CHECK(pool.bytes() == 40);
  CHECK(pool.share(packed).is_alias_of(packed));
  for (int64_t i = 0; i < 1000; ++i) pool.copy_of(torch::full({100}, i));  // which nobody keeps
  CHECK(pool.bytes() == 4040);
}

TEST_CASE("a digest tells each bit and each length", "[compile][plan]") {
  std::vector<unsigned char> bytes(200);
  std::set<uint64_t> seen;
  for (std::size_t length = 0; length <= bytes.size(); ++length) {
    seen.insert(digest_of(bytes.data(), length));
  }
  CHECK(seen.size() == 201);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<unsigned char>(1U << bit % 8);
    seen.insert(digest_of(bytes.data(), bytes.size()));
    bytes[bit / 8] = 0;
  }
  CHECK(seen.size() == 201 + 1600);
}
