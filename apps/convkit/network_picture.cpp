#include "network_picture.h"

#include "../cli.h"
#include "boxes.h"
#include "layout.h"
#include "svg.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace draw {
namespace {

// Light fills of Okabe and Ito's colours, with darker outlines.
struct Look {
  Kind kind;
  const char* name;  // in the file
  const char* style;
  const char* words;
};

constexpr Look kLooks[] = {
    {Kind::kConvolution, "convolution", R"(fill="#cfe4f5" stroke="#3f76a3")", "convolution"},
    {Kind::kNorm, "norm", R"(fill="#f0dbe8" stroke="#8d3c74")", "normalisation"},
    {Kind::kActivation, "activation", R"(fill="#c9ecdf" stroke="#00664a")", "activation"},
    {Kind::kPooling, "pooling", R"(fill="#fbe6bd" stroke="#8f4a00")", "pooling"},
    {Kind::kLinear, "linear", R"(fill="#f8d3bf" stroke="#a83f00")", "linear"},
    {Kind::kOperator, "operator", R"(fill="#ffffff" stroke="#555555")",
     "operator without a module"},
    {Kind::kModule, "module", R"(fill="#ffffff" stroke="#8c8c8c")", "other module"},
};

const Look& look_of(Kind kind) {
  return *std::find_if(std::begin(kLooks), std::end(kLooks),
                       [&](const Look& look) { return look.kind == kind; });
}

std::string sizes(const std::vector<std::vector<int64_t>>& all) {
  std::string text;
  for (std::size_t i = 0; i < all.size() && i < 4; ++i) {
    text += fmt::format("{}[{}]", i == 0 ? "" : " ", fmt::join(all[i], ", "));
  }
  return all.size() > 4 ? text + fmt::format(" and {} more", all.size() - 4) : text;
}

/// All that is known of a module, as a browser shows it where the pointer rests.
std::string hint(const Item& item) {
  if (item.row == nullptr) return item.words;
  const convkit::SummaryRow& row = *item.row;
  std::string text = fmt::format("{}: {}\ninput {}\noutput {}", row.path, row.type,
                                 sizes(row.input_sizes), sizes(row.output_sizes));
  if (row.parameters > 0) text += "\nparameters " + cli::with_commas(row.parameters);
  if (row.macs > 0) text += "\nMACs " + cli::with_commas(row.macs);
  if (row.receptive_field) {
    const auto& [down, across] = *row.receptive_field;
    text += fmt::format("\nreceptive field {} × {}", down.size, across.size);
  }
  if (row.calls > 1) text += fmt::format("\n{} calls", row.calls);
  return text;
}

class NetworkPicture {
 public:
  NetworkPicture(const std::string& name, const convkit::Summary& summary, const Item& network)
      : name_(name), summary_(summary), root_(placed(network)) {}

  std::string draw();

 private:
  void draw_parts(const PlacedBox& outer, int64_t depth);
  void draw_box(const PlacedBox& part, int64_t depth);
  void draw_paths(const PlacedBox& outer);
  void draw_ends(const Point& origin);
  int64_t draw_legend(int64_t top);

  const std::string& name_;
  const convkit::Summary& summary_;
  PlacedBox root_;
  Svg svg_;
  std::set<Kind> kinds_;
  int64_t margin_ = 0;
  int64_t width_ = 0;
  int64_t font_ = 0;  // of the title
};

void NetworkPicture::draw_paths(const PlacedBox& outer) {
  svg_.open_group(
      fmt::format(R"(class="flow" fill="none" stroke="{}" stroke-width="{}")", kGrey, outer.line));
  const int64_t head = outer.line * 4;
  for (std::size_t i = 0; i < outer.paths.size(); ++i) {
    const auto& path = outer.paths[i];
    std::string d = fmt::format("M{} {}", path[0].x, path[0].y);
    for (std::size_t k = 1; k < path.size(); ++k) {
      if (path[k].x != path[k - 1].x) d += fmt::format("H{}", path[k].x);
      if (path[k].y != path[k - 1].y) d += fmt::format("V{}", path[k].y);
    }
    const auto name = [&](int64_t part) {
      return part == Item::kIn ? "in" : part == Item::kOut ? "out" : std::to_string(part);
    };
    const auto& [from, to] = outer.item->edges[i];
    const int64_t back = path.back().y < path[path.size() - 2].y ? head : -head;
    d += fmt::format("m{0} {1}l{2} {3}l{2} {1}", -head * 3 / 4, back, head * 3 / 4, -back);
    svg_.path(d, fmt::format(R"(data-from="{}" data-to="{}")", name(from), name(to)));
  }
  svg_.close_group();
  if (outer.paths.empty()) return;
  const int64_t radius = outer.line * 4;
  for (const Point& end : {outer.in, outer.out}) {
    svg_.rect({end.x - radius, end.y - radius, 2 * radius, 2 * radius},
              fmt::format(R"(class="end" rx="{}" fill="{}")", radius, kGrey));
  }
}

void NetworkPicture::draw_box(const PlacedBox& part, int64_t depth) {
  const Item& item = *part.item;
  const Look& look = look_of(item.kind);
  const bool is_leaf = part.parts.empty();
  if (is_leaf) kinds_.insert(item.kind);
  svg_.open_group(fmt::format(R"(class="{}" data-path="{}")", is_leaf ? look.name : "parts",
                              escaped(item.path)));
  svg_.title(hint(item));
  const int64_t round = item.row == nullptr ? part.box.height / 2 : part.font / 3;
  std::string style = look.style;
  if (!is_leaf) {
    style = fmt::format(R"(fill="{}" stroke="#8c8c8c")", depth % 2 == 0 ? "#f6f7f8" : "#ffffff");
  }
  svg_.rect(part.box, fmt::format(R"(rx="{}" {} stroke-width="{}")", round, style,
                                  std::max<int64_t>(1, part.font / 16)));
  const auto texts = texts_of(item);
  const int64_t small = small_font(part);
  const int64_t x = is_leaf ? part.box.x + part.box.width / 2 : part.box.x + part.font * 8 / 10;
  const char* anchor = is_leaf ? R"( text-anchor="middle")" : "";
  int64_t y = part.box.y + part.font * (item.row == nullptr ? 115 : 130) / 100;
  const std::string attributes =
      fmt::format(R"(font-size="{}" fill="{}"{})", part.font, kDark, anchor);
  if (item.name.empty()) {
    svg_.text({x, y}, item.words, attributes);
  } else {
    svg_.named_text({x, y}, item.name, item.words, attributes);
  }
  for (std::size_t i = 1; i < texts.size() && item.row != nullptr; ++i) {
    y += small * 140 / 100;
    svg_.text({x, y}, texts[i], fmt::format(R"(font-size="{}" fill="{}"{})", small, kGrey, anchor));
  }
  draw_parts(part, depth + 1);
  svg_.close_group();
}

void NetworkPicture::draw_parts(const PlacedBox& outer, int64_t depth) {
  if (outer.parts.empty()) return;
  draw_paths(outer);
  for (const PlacedBox& part : outer.parts) draw_box(part, depth);
}

int64_t NetworkPicture::draw_legend(int64_t top) {
  const int64_t font = font_ * 6 / 10;
  int64_t x = margin_;
  int64_t y = top;
  for (const Look& look : kLooks) {
    if (!kinds_.contains(look.kind)) continue;
    const int64_t width = text_width(look.words, font) + font * 3;
    if (x + width > width_ - margin_ && x > margin_) {
      x = margin_;
      y += font * 9 / 5;
    }
    svg_.rect({x, y, font * 12 / 10, font},
              fmt::format(R"(rx="{}" {} stroke-width="{}")",
                          look.kind == Kind::kOperator ? font / 2 : font / 5, look.style,
                          std::max<int64_t>(1, font / 14)));
    svg_.text({x + font * 16 / 10, y + font * 9 / 10}, look.words,
              fmt::format(R"(font-size="{}" fill="{}")", font, kDark));
    x += width;
  }
  return y + font;
}

/// What goes in and comes out, beside the dots where the flow begins and ends.
void NetworkPicture::draw_ends(const Point& origin) {
  const int64_t font = font_ * 6 / 10;
  const int64_t radius = root_.line * 4;
  const auto attributes =
      fmt::format(R"(font-size="{}" fill="{}" text-anchor="middle")", font, kDark);
  const auto& row = summary_.rows[0];
  const auto write = [&](int64_t x, int64_t y, const std::string& text) {
    const int64_t half = text_width(text, font) / 2;
    svg_.text({std::clamp(origin.x + x, margin_ + half, width_ - margin_ - half), origin.y + y},
              text, attributes);
  };
  write(root_.in.x, root_.in.y - radius - font / 2, "input " + sizes(row.input_sizes));
  write(root_.out.x, root_.out.y + radius + font * 12 / 10, "output " + sizes(row.output_sizes));
}

std::string NetworkPicture::draw() {
  constexpr int64_t kShown = 1120;
  const std::string title = fmt::format("{}: {}", name_, summary_.rows[0].type);
  const std::string& note = root_.item->note;
  const std::string subtitle =
      fmt::format("{} parameters, {} MACs{}{}", cli::with_commas(summary_.parameters),
                  cli::with_commas(summary_.macs), note.empty() ? "" : "; ", note);
  const int64_t content = std::max<int64_t>(root_.box.width, 640);
  font_ = std::max<int64_t>(24, content / 36);
  margin_ = font_;
  width_ = content + 2 * margin_;
  svg_.text({margin_, margin_ + font_}, title,
            fmt::format(R"(font-size="{}" fill="{}" font-weight="bold")", font_, kDark));
  svg_.text({margin_, margin_ + font_ * 2}, subtitle,
            fmt::format(R"(font-size="{}" fill="{}")", font_ * 6 / 10, kGrey));
  const int64_t ends = font_ * 14 / 10 + root_.line * 4;
  const Point origin = {(width_ - root_.box.width) / 2, margin_ + font_ * 5 / 2 + ends};
  svg_.open_group(fmt::format("transform=\"translate({},{})\"", origin.x, origin.y));
  draw_parts(root_, 0);
  svg_.close_group();
  if (!root_.parts.empty()) draw_ends(origin);
  const int64_t height = draw_legend(origin.y + root_.box.height + ends) + margin_;
  const int64_t shown = std::min(width_, kShown);
  return fmt::format(R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" width="{}" )"
                     R"(height="{}" font-family="sans-serif" role="img" aria-labelledby="title">)",
                     width_, height, shown, height * shown / width_) +
         "\n" +
         fmt::format("  <title id=\"title\">{}, {}</title>\n", escaped(title), escaped(subtitle)) +
         fmt::format("  <rect width=\"{}\" height=\"{}\" fill=\"#ffffff\"/>\n", width_, height) +
         svg_.elements() + "</svg>\n";
}

}  // namespace

std::string network_picture(const std::string& name, const convkit::Summary& summary,
                            const Item& network) {
  return NetworkPicture(name, summary, network).draw();
}

}  // namespace draw
