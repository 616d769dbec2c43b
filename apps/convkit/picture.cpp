#include "picture.h"

#include "animation.h"
#include "captions.h"
#include "layout.h"
#include "svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace draw {
namespace {

// Okabe and Ito's colours, which readers of any colour vision tell apart, with darker outlines.
constexpr auto kInput = R"(fill="#cfe4f5" stroke="#3f76a3")";
constexpr auto kUnread = R"(fill="#f4f4f4" stroke="#b9b9b9")";
constexpr auto kOutside = R"(fill="#ffffff" stroke="#8c8c8c" stroke-dasharray="3 2")";
constexpr auto kEmpty = R"(fill="#ffffff" stroke="#8c8c8c")";
constexpr auto kFilled = R"(fill="#009e73" stroke="#00664a")";
constexpr auto kBegun = R"(fill="#009e73" stroke="#00664a" opacity="0.35")";
constexpr auto kTap = R"(fill="#e69f00" stroke="#8f4a00" fill-opacity="0.7")";
constexpr auto kWindow = R"(fill="none" stroke="#c25100" stroke-width="3")";
constexpr auto kExtra = R"(fill="none" stroke="#8d3c74" stroke-width="2" stroke-dasharray="6 3")";

std::string font(int64_t size, const char* color, const char* more = "") {
  return fmt::format(R"(font-size="{}" fill="{}"{})", size, color, more);
}

constexpr auto kCentred = R"( text-anchor="middle")";
constexpr auto kCentredBold = R"( text-anchor="middle" font-weight="bold")";

std::string cell_name(int64_t row, int64_t column) {
  return fmt::format(R"(data-cell="{},{}" rx="1")", row, column);
}

/// A line through a cell that is never read, so that it is not told by its colour alone.
std::string slash(const Box& box) {
  return fmt::format("M{} {}L{} {}", box.x, box.y + box.height, box.x + box.width, box.y);
}

class Picture {
 public:
  explicit Picture(const Convolution& convolution)
      : c_(convolution),
        down_(walk(c_.transposed, c_.height)),
        across_(walk(c_.transposed, c_.width)),
        layout_(c_),
        canvas_(c_.transposed ? layout_.output : layout_.input),
        places_(c_.transposed ? layout_.input : layout_.output),
        animation_(down_.steps * across_.steps) {}

  std::string draw();

 private:
  struct LegendEntry {
    std::string style;
    std::string words;
    bool slashed = false;
  };

  int64_t step(int64_t row, int64_t column) const { return row * across_.steps + column; }
  /// The step that a picture without animation shows: amid the others.
  int64_t still() const { return step(down_.steps / 2, across_.steps / 2); }

  void draw_canvas();
  void draw_places();
  void draw_outputs();
  void draw_stamped_outputs();
  void draw_output_padding();
  void draw_window();
  void draw_marker();
  std::string follow(const char* name, const Point& stride);
  void draw_heading();
  void draw_caption(const Grid& grid, const Caption& caption);
  void draw_sides();
  void draw_arrow();
  int64_t draw_formulas();
  std::vector<LegendEntry> legend() const;
  int64_t draw_legend(int64_t top);

  const Convolution& c_;
  Walk down_;
  Walk across_;
  Layout layout_;
  const Grid& canvas_;  // what the kernel moves over
  const Grid& places_;  // a cell for each of its places
  Animation animation_;
  Svg svg_;
  bool unread_ = false;  // some cell of the canvas is never under a tap
};

/// Cells outside the input or output, and those within.
void Picture::draw_canvas() {
  const auto rows = visits(down_);
  const auto columns = visits(across_);
  std::vector<Point> unread;
  svg_.open_group(std::string(R"(class="outside" )") + kOutside);
  for (int64_t i = 0; i < canvas_.rows; ++i) {
    for (int64_t j = 0; j < canvas_.columns; ++j) {
      const bool inside = i >= down_.before && i < down_.before + down_.inner &&
                          j >= across_.before && j < across_.before + across_.inner;
      if (!inside) svg_.rect(canvas_.at(i, j), R"(rx="1")");
    }
  }
  svg_.close_group();
  svg_.open_group(fmt::format(R"(class="{}" {})", c_.transposed ? "output" : "input",
                              c_.transposed ? kEmpty : kInput));
  for (int64_t i = 0; i < down_.inner; ++i) {
    for (int64_t j = 0; j < across_.inner; ++j) {
      const bool read = rows[static_cast<std::size_t>(i)] && columns[static_cast<std::size_t>(j)];
      if (!read) unread.push_back({j, i});
      if (read) svg_.rect(canvas_.at(i + down_.before, j + across_.before), cell_name(i, j));
    }
  }
  svg_.close_group();
  unread_ = !unread.empty();
  if (!unread_) return;
  svg_.open_group(std::string(R"(class="unread" )") + kUnread);
  for (const Point& cell : unread) {
    const Box box = canvas_.at(cell.y + down_.before, cell.x + across_.before);
    svg_.rect(box, cell_name(cell.y, cell.x));
    svg_.path(slash(box));
  }
  svg_.close_group();
}

/// The grid with a cell for each step: a convolution's output, a transposed one's input.
void Picture::draw_places() {
  svg_.open_group(fmt::format(R"(class="{}" {})", c_.transposed ? "input" : "output",
                              c_.transposed ? kInput : kEmpty));
  for (int64_t i = 0; i < places_.rows; ++i) {
    for (int64_t j = 0; j < places_.columns; ++j) svg_.rect(places_.at(i, j), cell_name(i, j));
  }
  svg_.close_group();
}

/// Each output appears at its step.
void Picture::draw_outputs() {
  svg_.open_group(std::string(R"(class="filled" )") + kFilled);
  for (int64_t i = 0; i < places_.rows; ++i) {
    for (int64_t j = 0; j < places_.columns; ++j) {
      const int64_t now = step(i, j);
      std::string attributes = cell_name(i, j);
      if (now > still()) attributes += R"( opacity="0")";
      if (now > 0) {
        attributes += " " + animation_.moving(fmt::format("filled-{}", now),
                                              {{0, "opacity:0"}, {now, "opacity:1"}});
      }
      svg_.rect(places_.at(i, j), attributes);
    }
  }
  svg_.close_group();
}

/// Each output is light from the first step that adds to it on, and full from the last one on.
void Picture::draw_stamped_outputs() {
  const auto rows = visits(down_);
  const auto columns = visits(across_);
  svg_.open_group(std::string(R"(class="filled" )") + kFilled);
  for (int64_t i = 0; i < down_.inner; ++i) {
    for (int64_t j = 0; j < across_.inner; ++j) {
      const auto& row = rows[static_cast<std::size_t>(i)];
      const auto& column = columns[static_cast<std::size_t>(j)];
      if (!row || !column) continue;
      const int64_t first = step(row->first, column->first);
      const int64_t last = step(row->last, column->last);
      std::vector<std::pair<int64_t, std::string>> changes;
      if (first > 0) changes.emplace_back(0, "opacity:0");
      if (first < last) changes.emplace_back(first, "opacity:0.35");
      changes.emplace_back(last, "opacity:1");
      const char* opacity = still() < first ? "0" : still() < last ? "0.35" : "1";
      svg_.rect(canvas_.at(i + down_.before, j + across_.before),
                fmt::format(R"({} opacity="{}" {})", cell_name(i, j), opacity,
                            animation_.moving(fmt::format("filled-{}-{}", i, j), changes)));
    }
  }
  svg_.close_group();
}

/// Around what output padding adds, to the right and below.
void Picture::draw_output_padding() {
  const int64_t rows = down_.before + down_.inner;
  const int64_t columns = across_.before + across_.inner;
  const int64_t row = rows - std::min(c_.height.output_padding, down_.inner);
  const int64_t column = columns - std::min(c_.width.output_padding, across_.inner);
  const auto x = [&](int64_t index) { return canvas_.origin.x + index * canvas_.cell; };
  const auto y = [&](int64_t index) { return canvas_.origin.y + index * canvas_.cell; };
  // Where only one side is padded, the other one's part of the outline has no extent.
  const int64_t top = column == columns ? row : down_.before;
  const int64_t left = row == rows ? column : across_.before;
  svg_.path(fmt::format("M{} {}H{}V{}H{}V{}H{}Z", x(column), y(top), x(columns), y(rows), x(left),
                        y(row), x(column)),
            std::string(R"(class="output-padding" )") + kExtra);
}

std::string Picture::follow(const char* name, const Point& stride) {
  std::vector<std::pair<int64_t, std::string>> moves;
  for (int64_t i = 0; i < down_.steps; ++i) {
    for (int64_t j = 0; j < across_.steps; ++j) {
      moves.emplace_back(step(i, j),
                         fmt::format("transform:translate({}px,{}px)", j * stride.x, i * stride.y));
    }
  }
  return fmt::format("{} transform=\"translate({},{})\"", animation_.moving(name, moves),
                     still() % across_.steps * stride.x, still() / across_.steps * stride.y);
}

void Picture::draw_window() {
  const Point stride = {across_.stride * canvas_.cell, down_.stride * canvas_.cell};
  svg_.open_group(follow("window", stride));
  svg_.open_group(std::string(R"(class="taps" )") + kTap);
  for (int64_t i = 0; i < down_.kernel; ++i) {
    for (int64_t j = 0; j < across_.kernel; ++j) {
      svg_.rect(canvas_.at(i * down_.dilation, j * across_.dilation), R"(rx="1")");
    }
  }
  svg_.close_group();
  svg_.rect({canvas_.origin.x, canvas_.origin.y, across_.extent() * canvas_.cell,
             down_.extent() * canvas_.cell},
            std::string(R"(rx="3" )") + kWindow);
  svg_.close_group();
}

/// Around the output that the window gives, or the input that is stamped.
void Picture::draw_marker() {
  svg_.open_group(follow("marker", {places_.cell, places_.cell}));
  svg_.rect({places_.origin.x, places_.origin.y, places_.cell, places_.cell},
            std::string(R"(rx="3" )") + kWindow);
  svg_.close_group();
}

void Picture::draw_heading() {
  svg_.text({Layout::kMargin, 50}, title(c_), font(26, kDark, R"( font-weight="bold")"));
  svg_.text({Layout::kMargin, 78}, subtitle(c_), font(16, kGrey));
}

void Picture::draw_caption(const Grid& grid, const Caption& caption) {
  const int64_t x = grid.centre().x;
  // The second line stands nearest to the grid; without it the first one does.
  const bool has_sides = layout_.has_sides && &grid == &canvas_;
  const int64_t y = grid.origin.y - (has_sides ? 28 : 14);
  svg_.text({x, caption.around.empty() ? y : y - 19}, caption.name, font(18, kDark, kCentredBold));
  if (!caption.around.empty()) svg_.text({x, y}, caption.around, font(14, kGrey, kCentred));
}

/// How many cells the padding adds, or crops, at each side.
void Picture::draw_sides() {
  if (!layout_.has_sides) return;
  const char* sign = c_.transposed ? "−" : "+";
  const auto number = [&](const Point& at, int64_t cells) {
    svg_.text(at, cells == 0 ? "0" : sign + std::to_string(cells), font(14, kGrey, kCentred));
  };
  const Point middle = canvas_.centre();
  svg_.open_group(R"(class="sides")");
  number({middle.x, canvas_.origin.y - 8}, down_.before);
  number({middle.x, canvas_.origin.y + canvas_.height() + 18}, down_.after);
  number({canvas_.origin.x - 18, middle.y + 5}, across_.before);
  number({canvas_.origin.x + canvas_.width() + 18, middle.y + 5}, across_.after);
  svg_.close_group();
}

void Picture::draw_arrow() {
  const auto [x, y] = layout_.arrow;
  const Caption caption = kernel_caption(c_);
  const auto line = fmt::format(R"(fill="none" stroke="{}" stroke-width="2")", kGrey);
  if (layout_.stacked) {
    svg_.path(fmt::format("M{} {}v40m-7 -9l7 9l7 -9", x, y - 20), line);
    svg_.text({x + 24, y + (caption.around.empty() ? 6 : -3)}, caption.name,
              font(16, kDark, R"( font-weight="bold")"));
    svg_.text({x + 24, y + 17}, caption.around, font(14, kGrey));
    return;
  }
  svg_.path(fmt::format("M{} {}h100m-9 -7l9 7l-9 7", x - 50, y), line);
  svg_.text({x, y - 16}, caption.name, font(16, kDark, kCentredBold));
  svg_.text({x, y + 26}, caption.around, font(14, kGrey, kCentred));
}

/// Returns where they end.
int64_t Picture::draw_formulas() {
  int64_t y = layout_.bottom + 26;
  for (const Formula& formula : formulas(c_)) {
    svg_.text({Layout::kMargin, y}, formula.names, font(16, kGrey));
    for (const std::string& line : formula.numbers) {
      y += 25;
      svg_.text({Layout::kMargin, y}, line, font(17, kDark, R"( class="numbers")"));
    }
    y += 30;
  }
  return y;
}

std::vector<Picture::LegendEntry> Picture::legend() const {
  std::vector<LegendEntry> entries = {{kInput, "input"}, {kTap, "taps of the kernel"}};
  if (!c_.transposed) {
    if (layout_.has_sides) entries.push_back({kOutside, "padding: zeros"});
    entries.push_back({kFilled, "output"});
    if (unread_) entries.push_back({kUnread, "input never read", true});
    return entries;
  }
  if (layout_.has_sides) entries.push_back({kOutside, "cropped by the padding"});
  entries.push_back({kBegun, "output, incomplete"});
  entries.push_back({kFilled, "output, complete"});
  if (unread_) entries.push_back({kUnread, "output never reached", true});
  if (c_.height.output_padding + c_.width.output_padding > 0) {
    entries.push_back({kExtra, "output padding"});
  }
  return entries;
}

/// Returns where it ends.
int64_t Picture::draw_legend(int64_t top) {
  constexpr int64_t kSwatch = 16;
  constexpr int64_t kColumns = 5;
  constexpr int64_t kColumn = (Layout::kWidth - 2 * Layout::kMargin) / kColumns;
  constexpr int64_t kRow = 26;
  int64_t count = 0;
  for (const LegendEntry& entry : legend()) {
    const int64_t x = Layout::kMargin + count % kColumns * kColumn;
    const int64_t y = top + count / kColumns * kRow;
    const Box swatch = {x, y, kSwatch, kSwatch};
    svg_.rect(swatch, entry.style);
    if (entry.slashed) svg_.path(slash(swatch), entry.style);
    svg_.text({x + kSwatch + 8, y + 13}, entry.words, font(14, kDark));
    ++count;
  }
  return top + (count - 1) / kColumns * kRow + kSwatch;
}

std::string Picture::draw() {
  draw_heading();
  draw_caption(layout_.input, input_caption(c_));
  draw_caption(layout_.output, output_caption(c_));
  draw_sides();
  draw_arrow();
  draw_canvas();
  draw_places();
  if (c_.transposed) {
    draw_stamped_outputs();
    if (c_.height.output_padding + c_.width.output_padding > 0) draw_output_padding();
  } else {
    draw_outputs();
  }
  draw_window();
  draw_marker();
  const int64_t height = draw_legend(draw_formulas()) + 30;
  return fmt::format(
             R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" )"
             R"(height="{1}" font-family="sans-serif" role="img" aria-labelledby="title desc">)",
             Layout::kWidth, height) +
         "\n" + fmt::format(R"(  <title id="title">{}</title>)", escaped(title(c_))) + "\n" +
         fmt::format(R"(  <desc id="desc">{}</desc>)", escaped(description(c_))) + "\n" +
         animation_.style() +
         fmt::format("  <rect width=\"{}\" height=\"{}\" fill=\"#ffffff\"/>\n", Layout::kWidth,
                     height) +
         svg_.elements() + "</svg>\n";
}

}  // namespace

std::string picture(const Convolution& convolution) {
  return Picture(convolution).draw();
}

}  // namespace draw
