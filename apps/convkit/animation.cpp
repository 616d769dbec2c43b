#include "animation.h"

#include <fmt/format.h>

#include <algorithm>

namespace draw {

Animation::Animation(int64_t steps)
    // Slow enough to follow; many steps are shown faster, so that nobody waits for the last ones.
    : milliseconds_(std::clamp<int64_t>(32000 / steps, 150, 800)),
      total_(steps + (1600 + milliseconds_ - 1) / milliseconds_) {}

std::string Animation::moving(const std::string& name,
                              const std::vector<std::pair<int64_t, std::string>>& declarations) {
  keyframes_ += "    @keyframes " + name + "{";
  for (const auto& [step, declaration] : declarations) {
    // Whole numbers alone: the same digits on every machine.
    const int64_t thousandths = step * 100'000 / total_;
    keyframes_ +=
        fmt::format("{}.{:03}%{{{}}}", thousandths / 1000, thousandths % 1000, declaration);
  }
  keyframes_ += "}\n";
  return fmt::format(R"(class="moving" style="animation-name:{}")", name);
}

std::string Animation::style() const {
  const int64_t duration = milliseconds_ * total_;
  return fmt::format(
      "  <style>\n"
      "    .moving{{animation-duration:{}ms;animation-delay:0ms;animation-timing-function:step-end;"
      "animation-iteration-count:infinite}}\n"
      "    @media (prefers-reduced-motion:reduce){{.moving{{animation:none!important}}}}\n"
      "{}"
      "  </style>\n",
      duration, keyframes_);
}

}  // namespace draw
