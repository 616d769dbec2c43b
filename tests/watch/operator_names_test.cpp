#include "watch/operator_names.h"

#include <catch2/catch_test_macros.hpp>

using namespace convkit::detail;

TEST_CASE("the plain name of an operator has no namespace and no mark", "[summary]") {
  CHECK(plain_name("aten::relu_") == "relu");
  CHECK(plain_name("relu") == "relu");
  CHECK(plain_name("torchvision::nms") == "nms");
  CHECK(plain_name("aten::__and__") == "__and__");
  CHECK(plain_name("aten::_pad_enum") == "_pad_enum");
  CHECK(is_in_place("aten::add_"));
  CHECK_FALSE(is_in_place("aten::add"));
  CHECK_FALSE(is_in_place("aten::__and__"));
}

TEST_CASE("the table says which modules call an operator", "[summary]") {
  CHECK(is_called_by("ReLU6", "hardtanh"));
  CHECK(is_called_by("Hardtanh", "hardtanh"));
  CHECK_FALSE(is_called_by("ReLU", "hardtanh"));
  CHECK_FALSE(is_called_by("", "hardtanh"));
  CHECK_FALSE(is_called_by("Conv2d", "conv2d"));  // its weights tell
  CHECK(is_given_weights_by("Conv2d", "aten::conv2d"));
  CHECK_FALSE(is_given_weights_by("Conv2d", "other::conv2d"));
  CHECK_FALSE(is_given_weights_by("Conv2d", "aten::convolution"));
  CHECK(is_given_weights_by("Linear", "aten::addmm"));
  CHECK(is_given_weights_by("Linear", "aten::add_"));
  CHECK_FALSE(is_given_weights_by("Linear", "aten::add"));
}

TEST_CASE("the table says what LibTorch's operators compute", "[summary]") {
  CHECK(is_activation("hardswish"));
  CHECK_FALSE(is_activation("prelu"));
  CHECK(tells_shape_alone("numel"));
  CHECK_FALSE(tells_shape_alone("item"));
  CHECK(reach_of("aten::relu_") == Reach::kSamePlace);
  CHECK(reach_of("aten::max_pool2d") == Reach::kMaxPool);
  CHECK(reach_of("other::relu") == Reach::kUnknown);
  CHECK(reach_of("aten::upsample_nearest2d") == Reach::kUnknown);
  CHECK(mac_rule_of("aten::convolution") == MacRule::kConvolution);
  CHECK(mac_rule_of("aten::conv2d") == MacRule::kNone);  // it calls convolution
  CHECK(mac_rule_of("aten::addmm") == MacRule::kAddedProduct);
  CHECK(mac_rule_of("aten::addmm_") == MacRule::kNone);
  CHECK(mac_rule_of("other::mm") == MacRule::kNone);
  CHECK(mac_rule_of("convkit::deform_conv2d") == MacRule::kConvolution);
  CHECK(mac_rule_of("torchvision::deform_conv2d") == MacRule::kNone);
  CHECK(mac_rule_of("aten::deform_conv2d") == MacRule::kNone);
  CHECK(mac_rule_of("convkit::mm") == MacRule::kNone);
  CHECK(is_given_weights_by("DeformConv2d", "convkit::deform_conv2d"));
  CHECK_FALSE(is_given_weights_by("DeformConv2d", "torchvision::deform_conv2d"));
}
