#pragma once

#include "files/zip_read.h"

#include <string>
#include <string_view>

namespace convkit::detail {

/// What a file is that is mistaken for a checkpoint, and what to do: "an ONNX model: ...". Empty for
/// bytes of no kind that is known here. The `path` counts where the bytes say nothing.
std::string foreign_kind(std::string_view bytes, const std::string& path);

/// What a zip file is that torch.save has not written.
std::string foreign_zip(const ZipRecords& records);

}  // namespace convkit::detail
