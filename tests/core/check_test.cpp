#include "core/check.h"

#include "support.h"

using torch::nn::ConvTranspose2dOptions;

TEST_CASE("options of a transposed convolution are refused in the one wording", "[errors]") {
  const auto error = [](const ConvTranspose2dOptions& options) {
    return support::error([&] { convkit::detail::checked("Foo", options); });
  };
  const ConvTranspose2dOptions sound(4, 8, 3);
  CHECK(error(sound) == "no error");
  CHECK(error(ConvTranspose2dOptions(sound).padding(-1)) == "Foo: expected padding >= 0, got -1");
  CHECK(error(ConvTranspose2dOptions(sound).output_padding(-1)) ==
        "Foo: expected output_padding >= 0, got -1");
  CHECK(error(ConvTranspose2dOptions(sound).stride({2, 3}).output_padding({1, 3})) ==
        "Foo: expected output_padding < max(stride, dilation) = 3, got 3");
  CHECK(error(ConvTranspose2dOptions(sound).stride(2).dilation(3).output_padding(2)) == "no error");
  CHECK(error(ConvTranspose2dOptions(sound).groups(3)) ==
        "Foo: expected in_channels divisible by groups 3, got 4");
}
