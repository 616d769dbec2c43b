#include "load.h"

#include "../cli.h"

#include <string_view>

namespace tool {

convkit::Checkpoint load(const std::string& file, const convkit::LoadCheckpointOptions& options) {
  try {
    return convkit::load_checkpoint(file, options);
  } catch (const convkit::CheckpointError& error) {
    if (error.candidates().empty()) throw;
    const std::string text = error.what_without_backtrace();
    TORCH_CHECK(false, text.substr(0, text.rfind(": choose by ")), ": choose by --at ",
                cli::printable(error.candidates().front().at));
  } catch (const c10::ValueError& error) {
    std::string text = error.what_without_backtrace();
    for (const std::string_view words :
         {": expected .at", ": expected names that begin with .at"}) {
      const std::size_t found = text.find(words);
      if (found != std::string::npos) text.replace(found + words.size() - 3, 3, "--at");
    }
    TORCH_CHECK(false, text);
  }
}

}  // namespace tool
