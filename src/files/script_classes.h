#pragma once

#include "files/zip_read.h"

#include <map>
#include <set>
#include <string>
#include <string_view>

namespace convkit::detail {

/// What the source of a TorchScript class says.
struct ScriptClass {
  bool is_module = false;
  bool lists_tensors = false;                    // files from before torch 1.5 list no buffers
  std::set<std::string, std::less<>> tensors{};  // the names of its parameters and buffers
};

/// The classes of a TorchScript archive, whose sources are in its records code/__torch__/*.py. They
/// are read for the names of parameters and buffers alone: a module's other tensors are none of its
/// state_dict's.
class ScriptClasses {
 public:
  /// The records lie in a `folder`, "archive/". All sources together may have `most` bytes.
  ScriptClasses(const ZipRecords& records, std::string folder, std::size_t most)
      : records_(records), folder_(std::move(folder)), left_(most) {}

  /// The class that a pickle calls `name` of `module`; null where there is no source of it.
  const ScriptClass* find(std::string_view module, std::string_view name);

 private:
  using Classes = std::map<std::string, ScriptClass, std::less<>>;

  Classes classes_of(const std::string& record);

  const ZipRecords& records_;
  const std::string folder_;
  std::size_t left_;
  std::map<std::string, Classes> files_;
};

}  // namespace convkit::detail
