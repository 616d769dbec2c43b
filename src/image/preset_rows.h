#pragma once

#include <convkit/presets.h>

#include <cstdint>
#include <vector>

namespace convkit::models {

struct PresetRow {
  const char* network;
  const char* weights;
  Preset::Kind kind;
  std::vector<int64_t> resize_size;
  std::vector<int64_t> crop_size;
  transforms::Interpolation interpolation;
  enum { kImageNet, kHalf, kFeatures, kKinetics } statistics;  // whose mean and std
};

/// Those of all networks, each one's default weights first. A test holds them to Python.
const std::vector<PresetRow>& preset_rows();

}  // namespace convkit::models
