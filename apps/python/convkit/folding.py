"""Shorter statements: loops where they repeat, and one beginning of what two modes do."""

import re

DECLARATION = re.compile(r"(const )?(torch::Tensor|std::vector<torch::Tensor>|auto|int64_t) \w+( =|\{|;)")
MEMBER = re.compile(r"\(\*(\w+)\)\[(\d+)\]")


def singular(name):
    return name[:-1] if name.endswith("s") and len(name) > 2 else f"one_of_{name}"


def folded(lines, sizes):
    """The lines, with loops; `sizes` are those of the lists of modules, with what a loop over all is over."""
    done, i = [], 0
    while i < len(lines):
        for period in range(1, 9):
            count, text = loop(lines, i, period, sizes)
            if count:
                done += text
                i += count * period
                break
        else:
            done.append(lines[i])
            i += 1
    return done


def loop(lines, begin, period, sizes):
    """How often the lines from `begin` repeat with a period, and the loop that does the same."""
    def block(k):
        return lines[begin + k * period:begin + (k + 1) * period]
    first, second = block(0), block(1)
    if len(second) < period or DECLARATION.match(first[-1]) or "return" in first[-1][:7]:
        return 0, []
    places = [(m[1], int(m[2])) for m in MEMBER.finditer("\n".join(first))]
    after = [(m[1], int(m[2])) for m in MEMBER.finditer("\n".join(second))]
    if len(places) != len(after) or any(name not in sizes for name, _ in places):
        return 0, []
    steps = [b - a for (_, a), (_, b) in zip(places, after)]

    def at(k):
        """What the loop's body is in its k-th turn."""
        given = iter(zip(places, steps))

        def moved(_):
            (name, index), step = next(given)
            return f"(*{name})[{index + k * step}]"
        return MEMBER.sub(moved, "\n".join(first)).split("\n")
    count = 1
    while block(count) == at(count):
        count += 1
    # Lines without a list are no shorter in a loop unless there are some.
    if count < (2 if any(steps) else 3) or any(DECLARATION.match(line) and name_of(line) in "\n".join(
            lines[begin + count * period:]) for line in first):
        return 0, []
    return count, written(first, places, steps, count, sizes)


def name_of(line):
    return re.split(r"[\s{;=]+", line.removeprefix("const "))[1]


def written(first, places, steps, count, sizes):
    moving = [(name, index, step) for (name, index), step in zip(places, steps) if step]
    text = "\n".join(first)
    if not moving:
        head = f"for (int i = 0; i < {count}; ++i)"
    elif len(set(moving)) == 1 and moving[0][1:] == (0, 1) and sizes[moving[0][0]][0] == count:
        name = moving[0][0]
        one = singular(name)
        text = text.replace(f"(*{name})[0]", one)
        head = f"for (const auto& {one} : {sizes[name][1]})"
    else:
        start, step = min((index, step) for _, index, step in moving)
        base = start if step == 1 and all(s == 1 for _, _, s in moving) else 0
        given = iter(zip(places, steps))

        def index_of(_):
            (name, index), step = next(given)
            if not step:
                return f"(*{name})[{index}]"
            factor = "i" if step == 1 else f"{step} * i" if step > 0 else f"{index} - {-step} * i" if step < -1 else \
                f"{index} - i"
            offset = index - base if step > 0 else 0
            return f"(*{name})[{factor}{f' + {offset}' if offset > 0 else f' - {-offset}' if offset < 0 else ''}]"
        text = MEMBER.sub(index_of, text)
        whole = next((name for name, index, step in moving if step == 1 and index == base
                      and sizes[name][0] == base + count), None)
        end = f"{whole}->size()" if whole else str(base + count)
        head = f"for (std::size_t i = {base}; i < {end}; ++i)"
    return ["\n".join(guarded(head, text.split("\n")))]


def guarded(head, lines):
    """Statements under a condition or in a loop: in braces, unless it is one that fits beside it."""
    if len(lines) == 1 and len(head) + len(lines[0]) < 90:
        return [f"{head} {lines[0]}"]
    return [f"{head} {{", *lines, "}"]


def with_common_begin(bodies):
    """The lines with which the bodies for training and for all else begin alike, and what is left of each."""
    def plain(line):
        return line.removeprefix("const ")
    shared = []
    for lines in zip(*bodies):
        if len({plain(line) for line in lines}) > 1 or lines[0].startswith("return"):
            break
        shared.append(lines[0] if len(set(lines)) == 1 else plain(lines[0]))
    return shared, [body[len(shared):] for body in bodies]
