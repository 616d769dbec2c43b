"""Charts as SVG: bars of ratios, and lines of times."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

INK, FAINT, GRID = "#1f2933", "#5f6c7b", "#e3e8ee"
COLORS = ["#9aa5b1", "#c4ccd4", "#e08e0b", "#f2c14e", "#b5547b", "#2f7ebc", "#3a9d6e", "#7a5ea8"]
FONT = "font-family='Helvetica, Arial, sans-serif'"


@dataclass(frozen=True)
class Bars:
    """A panel: a name for each group, and in each group a value for each series, None where there is none."""
    title: str
    groups: Sequence[tuple[str, Sequence[float | None]]]


def text(x: float, y: float, content: str, size: float = 14, color: str = INK, anchor: str = "start",
         more: str = "") -> str:
    return (f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{color}' text-anchor='{anchor}' {more}>"
            f"{escape(content)}</text>")


def line(x1: float, y1: float, x2: float, y2: float, color: str = GRID, width: float = 1, more: str = "") -> str:
    return (f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{color}' "
            f"stroke-width='{width}' {more}/>")


def document(width: float, height: float, title: str, subtitle: str, parts: Sequence[str]) -> str:
    return "\n".join([
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' "
        f"height='{height:.0f}' {FONT}>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{width:.0f}' height='{height:.0f}' fill='#ffffff'/>",
        text(40, 48, title, 26, more="font-weight='bold'"), text(40, 76, subtitle, 15, FAINT), *parts, "</svg>", ""])


def legend(names: Sequence[str], colors: Sequence[str], y: float) -> list[str]:
    parts, x = [], 40.0
    for name, color in zip(names, colors):
        parts += [f"<rect x='{x:.1f}' y='{y - 11:.1f}' width='14' height='14' rx='2' fill='{color}'/>",
                  text(x + 20, y + 1, name, 14)]
        x += 44 + 7.4 * len(name)
    return parts


def ratios(title: str, subtitle: str, series: Sequence[str], colors: Sequence[str], panels: Sequence[Bars]) -> str:
    """Horizontal bars from 1 on a logarithmic scale, with a line there."""
    values = [value for panel in panels for _, group in panel.groups for value in group if value is not None]
    low, high = 0.5, max(4.0, *values) * 1.15
    low = min([low, *(value / 1.1 for value in values)])
    width, margin, label = 1600.0, 40.0, 170.0
    column = (width - margin * (len(panels) + 1)) / max(1, len(panels))
    top, gap = 168.0, 14.0
    rows = [sum(sum(value is not None for value in group) for _, group in panel.groups) for panel in panels]
    gaps = [gap * len(panel.groups) for panel in panels]
    bar = min(16.0, max(9.0, min(((700 - g) / r for g, r in zip(gaps, rows) if r), default=16.0)))
    bottom = top + max((bar * r + g for r, g in zip(rows, gaps)), default=0)

    parts = legend(series, colors, 112)
    for i, panel in enumerate(panels):
        left = margin + i * (column + margin)
        start, end = left + label, left + column - 44

        def x(value: float, start: float = start, end: float = end) -> float:
            return start + (end - start) * math.log(value / low) / math.log(high / low)

        parts.append(text(left, top - 16, panel.title, 17, more="font-weight='bold'"))
        for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64):
            if low <= tick <= high and tick != 1:
                parts += [line(x(tick), top, x(tick), bottom),
                          text(x(tick), bottom + 18, f"{tick:g}", 13, FAINT, "middle")]
        y = top + gap / 2
        for name, group in panel.groups:
            shown = [(value, color) for value, color in zip(group, colors) if value is not None]
            parts.append(text(start - 10, y + bar * len(shown) / 2 + 5, name, 14, anchor="end"))
            for value, color in shown:
                a, b = sorted((x(1), x(value)))
                parts += [f"<rect x='{a:.1f}' y='{y + 0.5:.1f}' width='{b - a:.1f}' height='{bar - 1:.1f}' "
                          f"fill='{color}'/>",
                          text(x(max(value, 1)) + 4, y + bar - bar * 0.2, f"{value:.2f}", min(11.5, bar), FAINT)]
                y += bar
            y += gap
        parts += [line(x(1), top, x(1), bottom, INK, 1.8), text(x(1), bottom + 18, "1", 13, INK, "middle"),
                  text((start + end) / 2, bottom + 42, "time / time of convkit compiled (log scale); right of 1 "
                       "convkit is faster", 13, FAINT, "middle")]
    return document(width, bottom + 62, title, subtitle, parts)


@dataclass(frozen=True)
class Lines:
    """A panel: points for each series."""
    title: str
    unit: str
    series: Sequence[Sequence[tuple[float, float]]]


LINE_COLORS = ["#2f7ebc", "#9aa5b1", "#e08e0b", "#3a9d6e"]


def growth(title: str, subtitle: str, series: Sequence[str], panels: Sequence[Lines]) -> str:
    """Lines on two logarithmic axes, two panels a row; along a dotted one the cost grows as the size itself."""
    width, margin, height = 1600.0, 60.0, 330.0
    column = (width - 3 * margin) / 2
    parts = legend([*series, "dotted: in proportion to the pixels"], [*LINE_COLORS[:len(series)], "#ffffff"], 112)
    bottom = 0.0
    for i, panel in enumerate(panels):
        points = [point for own in panel.series for point in own]
        if not points:
            continue
        left, top = margin + 50 + i % 2 * (column + margin), 170 + i // 2 * (height + 110)
        right, bottom = left + column - 50, top + height
        xs, ys = sorted({x for x, _ in points}), [y for _, y in points]
        low_x, high_x = xs[0] / 1.1, xs[-1] * 1.1
        low_y, high_y = min(ys) / 1.4, max(ys) * 1.4

        def at(x: float, y: float, box: tuple[float, ...] = (left, right, top, bottom, low_x, high_x, low_y, high_y)
               ) -> tuple[float, float]:
            left, right, top, bottom, low_x, high_x, low_y, high_y = box
            return (left + (right - left) * math.log(x / low_x) / math.log(high_x / low_x),
                    bottom - (bottom - top) * math.log(y / low_y) / math.log(high_y / low_y))

        parts.append(text(left, top - 14, panel.title, 17, more="font-weight='bold'"))
        for tick in (10.0**exponent * step for exponent in range(-4, 6) for step in (1, 2, 5)):
            if low_y <= tick <= high_y:
                y = at(low_x, tick)[1]
                parts += [line(left, y, right, y), text(left - 8, y + 5, f"{tick:g}", 13, FAINT, "end")]
        for tick in xs:
            x = at(tick, low_y)[0]
            parts += [line(x, top, x, bottom), text(x, bottom + 20, f"{tick:g}", 13, FAINT, "middle")]
        parts += [line(left, bottom, right, bottom, FAINT),
                  text((left + right) / 2, bottom + 44, panel.unit, 14, FAINT, "middle"),
                  text(left - 52, (top + bottom) / 2, "ms", 14, FAINT, "middle")]
        first = next((own for own in panel.series if own), [])
        power = 2 if "pixels" in panel.unit else 1
        (x0, y0), x1 = first[-1], first[0][0]
        y1 = y0 * (x1 / x0)**power
        if y1 < low_y:
            x1, y1 = x0 * (low_y / y0)**(1 / power), low_y
        parts.append(line(*at(x0, y0), *at(x1, y1), FAINT, 1.2, "stroke-dasharray='2 4'"))
        for color, own in zip(LINE_COLORS, panel.series):
            drawn = [at(*point) for point in own]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
            parts.append(f"<polyline points='{path}' fill='none' stroke='{color}' stroke-width='2.5'/>")
            parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4' fill='{color}'/>" for x, y in drawn]
    return document(width, bottom + 70, title, subtitle, parts)
