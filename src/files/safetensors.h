#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

namespace convkit::detail {

struct SafetensorsDtype {
  const char* name;
  c10::ScalarType type;
};

// The types in safetensors' own order, by which its writer sorts. LibTorch lacks two of them,
// F6_E2M3 and F6_E3M2.
inline constexpr SafetensorsDtype kSafetensorsDtypes[] = {
    {"BOOL", c10::ScalarType::Bool},
    {"F4", c10::ScalarType::Float4_e2m1fn_x2},
    {"U8", c10::ScalarType::Byte},
    {"I8", c10::ScalarType::Char},
    {"F8_E5M2", c10::ScalarType::Float8_e5m2},
    {"F8_E4M3", c10::ScalarType::Float8_e4m3fn},
    {"F8_E8M0", c10::ScalarType::Float8_e8m0fnu},
    {"F8_E4M3FNUZ", c10::ScalarType::Float8_e4m3fnuz},
    {"F8_E5M2FNUZ", c10::ScalarType::Float8_e5m2fnuz},
    {"I16", c10::ScalarType::Short},
    {"U16", c10::ScalarType::UInt16},
    {"F16", c10::ScalarType::Half},
    {"BF16", c10::ScalarType::BFloat16},
    {"I32", c10::ScalarType::Int},
    {"U32", c10::ScalarType::UInt32},
    {"F32", c10::ScalarType::Float},
    {"C64", c10::ScalarType::ComplexFloat},
    {"F64", c10::ScalarType::Double},
    {"I64", c10::ScalarType::Long},
    {"U64", c10::ScalarType::UInt64},
};

inline constexpr uint64_t kLongestHeader = 100'000'000;

}  // namespace convkit::detail
