"""A picture of `convkit draw` as a reader finds it: its cells, and what its animation shows at each step."""

import re
import xml.etree.ElementTree as ElementTree

SVG = "{http://www.w3.org/2000/svg}"


def box_of(rect):
    return tuple(int(rect.get(name)) for name in ("x", "y", "width", "height"))


def declarations(style):
    """The keyframes by name: (percent, value of the only property)."""
    frames = {}
    for name, body in re.findall(r"@keyframes ([\w-]+)\{((?:[\d.]+%\{[^}]*\})+)\}", style):
        frames[name] = [(float(percent), value) for percent, value in re.findall(r"([\d.]+)%\{[a-z]+:([^}]*)\}", body)]
        assert frames[name][0][0] == 0 and frames[name] == sorted(frames[name], key=lambda frame: frame[0])
    return frames


class Drawn:
    def __init__(self, text):
        assert not re.search(r"script|href|url\(|@import|<image|foreignObject|<!|\bon[a-z]+=", text)
        assert text.count("http") == 1  # the name space
        self.root = ElementTree.fromstring(text)
        self.width, self.height = (int(number) for number in self.root.get("viewBox").split()[2:])
        style = self.root.find(SVG + "style").text
        assert "step-end" in style and "prefers-reduced-motion:reduce" in style
        self.duration = int(re.search(r"animation-duration:(\d+)ms", style)[1])
        self.frames = declarations(style)
        self.texts = list(self.root.iter(SVG + "text"))
        self.words = [text.text for text in self.texts if text.text]
        self.steps = [percent for percent, _ in self.frames["marker"]]
        assert len(set(self.steps)) == len(self.steps) == len(self.frames["window"]) and self.steps[-1] < 100
        self.groups = {group.get("class"): group for group in self.root.iter(SVG + "g")}
        moving = {self.animation(group): group for group in self.root.iter(SVG + "g") if group.get("class") == "moving"}
        self.window, self.marker = moving["window"], moving["marker"]
        self.taps = [box_of(rect) for rect in self.groups["taps"].iter(SVG + "rect")]

    @staticmethod
    def animation(element):
        return re.fullmatch(r"animation-name:([\w-]+)", element.get("style"))[1]

    def cells(self, name):
        """The boxes of a group by row and column."""
        rects = self.groups[name].iter(SVG + "rect") if name in self.groups else []
        return {tuple(map(int, rect.get("data-cell").split(","))): box_of(rect) for rect in rects}

    def outside(self):
        return [box_of(rect) for rect in self.groups["outside"].iter(SVG + "rect")]

    def at(self, element, step):
        """What the animation of an element shows in the middle of a step."""
        end = (self.steps + [100.0])[step + 1]
        now = (self.steps[step] + end) / 2
        return [value for percent, value in self.frames[self.animation(element)] if percent <= now][-1]

    def opacities(self, step=None):
        """How far each output is filled; without a step as the file shows it unanimated."""
        result = {}
        for rect in self.groups["filled"].iter(SVG + "rect"):
            value = rect.get("opacity", "1")
            if step is not None and rect.get("style"):
                value = self.at(rect, step)
            result[tuple(map(int, rect.get("data-cell").split(",")))] = float(value)
        return result

    def moved_by(self, element, step=None):
        text = element.get("transform") if step is None else self.at(element, step)
        return tuple(map(int, re.fullmatch(r"translate\((\d+)(?:px)?,(\d+)(?:px)?\)", text).groups()))

    def tapped(self, step):
        """The boxes on which the taps lie at a step."""
        x, y = self.moved_by(self.window, step)
        return [(left + x, top + y, width, height) for left, top, width, height in self.taps]

    def marked(self, step):
        x, y = self.moved_by(self.marker, step)
        left, top, width, height = box_of(self.marker.find(SVG + "rect"))
        return left + x + 1, top + y + 1, width - 2, height - 2

    def text_boxes(self):
        """About where the texts are, as if in a wide font."""
        for text in self.texts:
            size, x, y = (int(text.get(name)) for name in ("font-size", "x", "y"))
            width = len(text.text or "") * size * 0.58
            left = x - width / 2 if text.get("text-anchor") == "middle" else x
            if width:
                yield left, y - 0.8 * size, left + width, y + 0.2 * size
