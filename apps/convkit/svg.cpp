#include "svg.h"

#include <fmt/format.h>

namespace draw {
namespace {

std::string separated(std::string_view attributes) {
  return attributes.empty() ? "" : " " + std::string(attributes);
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

void Svg::add(std::string_view element) {
  elements_.append(2 * depth_, ' ').append(element).append("\n");
}

void Svg::open_group(std::string_view attributes) {
  add(fmt::format("<g{}>", separated(attributes)));
  ++depth_;
}

void Svg::close_group() {
  --depth_;
  add("</g>");
}

void Svg::rect(const Box& box, std::string_view attributes) {
  add(fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}"{}/>)", box.x, box.y, box.width,
                  box.height, separated(attributes)));
}

void Svg::path(std::string_view d, std::string_view attributes) {
  add(fmt::format(R"(<path d="{}"{}/>)", d, separated(attributes)));
}

void Svg::text(const Point& at, std::string_view text, std::string_view attributes) {
  add(fmt::format(R"(<text x="{}" y="{}"{}>{}</text>)", at.x, at.y, separated(attributes),
                  escaped(text)));
}

void Svg::named_text(const Point& at, std::string_view name, std::string_view rest,
                     std::string_view attributes) {
  add(fmt::format(R"(<text x="{}" y="{}"{}><tspan font-weight="bold">{}</tspan> {}</text>)", at.x,
                  at.y, separated(attributes), escaped(name), escaped(rest)));
}

void Svg::title(std::string_view text) {
  add(fmt::format("<title>{}</title>", escaped(text)));
}

}  // namespace draw
