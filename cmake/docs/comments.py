"""The doc comments of a header in Doxygen's words.

The house's form is plain text: a sentence or a formula first, paragraphs, lists, indented code, and fields such as
"Shape:". Here formulas become MathML, fields a table, names code, and a sentence the brief description. Macros
that only LibTorch's own headers explain become what they stand for.
"""

import re
from pathlib import Path

import formula

FIELD = re.compile(r"(Shape|Keys|Throws|Source|Differs): +(.*)")
PICTURE = re.compile(r"Picture: (.*)")
COMMENT = re.compile(r"^( *)///(?!<) ?(.*)$")
# What every module has; the classes of LibTorch that declare it are not read.
MEMBERS = {
    "reset": "Creates and registers everything anew; the constructor and clone() call it.",
    "forward": "What the module computes.",
    "pretty_print": "Prints the module with its options, as Python does.",
    "features": "The last map before each layer with a stride, and the last of all.",
    "outputs": "All results under Python's names, the main one first.",
    "current_key": "The present name of a key of an older version.",
    "to": "Converts as Python does: integers stay, and gradients come along.",
    "clone": "A second module with copies of all parameters and buffers, there on `device`.",
}
CODE = re.compile(
    r"`(?P<quoted>[^`]+)`"
    r"|(?P<link>https?://[^\s,;]*[^\s,;.)])"
    r"|(?P<code>(?<![\w/])(?:~?\w*::[\w:~]*\w|[A-Za-z_]\w*(?:\.\w+)*\(\)|(?:torch|torchvision|timm|kornia|cv2|numpy|smp|"
    r"segmentation_models_pytorch|convkit|F|nn)(?:\.\w+)+|[A-Za-z][\w.]*_\w+[\w.]*(?:=\w+)?\b)(?!\()(?:\(\))?)")
KEY = re.compile(r"[\w{},]+(?:\.(?:\w+|\*|\{[\w,]+\}|\.\.\.))+|\{[\w,]+\}\w*(?:\.\w+)*")
# A shape such as [N, C, H, W], after its name, or one equation.
SHAPE = re.compile(r"(?:\b([a-z]\w*) )?\[[^\[\]\"`{}]+\]")
EQUATION = re.compile(r"(?<![\w.`:\"{\[<>-])[A-Za-z][\w]*'*(?:, [A-Za-z])?(?: and [A-Za-z]\w*)? = (?=[^\s=])")
CALL = re.compile(r"(?<![\w.])(?:floor|ceil|sqrt|max|min)\((?!\))|(?<![\w./])[A-Za-z]\w*\^\w")

PRODUCT = re.compile(r"^\((?=\w+ [-+\w])")  # a formula that a text begins with, without "y ="


def escape(text):
    """Text that is neither Markdown nor a command of Doxygen's."""
    text = re.sub(r"([\\@#%<>&])", r"\\\1", text)
    text = re.sub(r"([*\[\]])", r"\\\1", text)
    return text.replace("``", "")


def html(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def signs(text):
    """Plain text, with the signs that a keyboard lacks."""
    text = re.sub(r"(?<=\d) x (?=\d)", " × ", re.sub(r"(?<=\d)x(?=\d)", "×", text))
    text = re.sub(r"(?<= )->(?= )", "→", text)
    text = escape(text.replace(" <= ", " ≤ ").replace(" >= ", " ≥ "))
    return re.sub(r"(?<![\w.])\\\*(\w[\w']*)\\\*(?!\w)", r"<em>\1</em>", text)


def code(text):
    return f"<code>{escape(text)}</code>"


def only_html(text):
    return f"@htmlonly{text}@endhtmlonly"


def formula_at(text, start, stacked, css):
    """The formula that begins there, and its end."""
    length = formula.end_of_formula(text[start:])
    result = formula.mathml(text[start:start + length], stacked, css) if length else None
    return result, start + length


def inline(text, leading=False):
    """A paragraph's text for Doxygen."""
    out, at = [], 0

    def plain(piece):
        last = 0
        for match in CODE.finditer(piece):
            out.append(signs(piece[last:match.start()]))
            out.append(match[0] if match["link"] else code(match["quoted"] or match["code"]))
            last = match.end()
        out.append(signs(piece[last:]))

    quoted = [match.span() for match in re.finditer(r"`[^`]+`", text)]
    while True:
        best = None
        for pattern in (*([PRODUCT] if leading and at == 0 else []), SHAPE, EQUATION, CALL):
            for match in pattern.finditer(text, at):
                if any(begin <= match.start() < end for begin, end in quoted):
                    continue
                if pattern is SHAPE:
                    inner = match[0][match[0].index("["):]
                    if not re.match(r"\[(\.\.\.|[A-Z]['_]?\w?\b|\w+(, [\w.]+)+\])", inner) and not re.match(r"\[[-\d.]+, [-\d.]+\]", inner):
                        continue
                    variable = match[1] if match[1] and len(match[1]) == 1 or match[1] in (
                        "query", "key", "value", "image", "skip", "reference", "low", "high", "boxes", "scores") else None
                    begin = match.start() if variable else match.start() + match[0].index("[")
                    result, end = formula.mathml(text[begin:match.end()]), match.end()
                else:
                    lead = leading and match.start() == 0
                    begin = match.start()
                    result, end = formula_at(text, begin, True, "lead" if lead else "")
                if result and (best is None or begin < best[0]):
                    best = (begin, end, result)
                if result:
                    break
        if best is None:
            break
        plain(text[at:best[0]])
        out.append(only_html(best[2]))
        at = best[1]
    plain(text[at:])
    return "".join(out)


def keys(text):
    if re.fullmatch(r"\w+(, \w+)*\.?", text) and text not in ("none", "none."):
        return re.sub(r"\w+", lambda match: code(match[0]), text)
    out, last = [], 0
    for match in KEY.finditer(text):
        out += [inline(text[last:match.start()]), code(match[0])]
        last = match.end()
    return "".join([*out, inline(text[last:])])


def first_sentence(text):
    """A text's first sentence, and the rest of it."""
    for match in re.finditer(r"\. (?=[A-Z`])", text):
        if text[:match.start()].count("(") == text[:match.start()].count(")") and not text[:match.start()].endswith(" vs"):
            return text[:match.start() + 1], text[match.end():]
    return text, ""


def is_code(block):
    """Whether an indented block is code, and not a few formulas below each other."""
    return any(re.search(r"[;{}]", line) for line in block)


def blocks_of(lines):
    """Pairs of a kind and the numbers of its lines."""
    result, number = [], 0
    while number < len(lines):
        line, start = lines[number], number
        if not line.strip():
            number += 1
            continue
        if line.startswith("    "):
            kind = "code"
            while number < len(lines) and lines[number].startswith("    "):
                number += 1
        elif PICTURE.match(line):
            kind = "picture"
            number += 1
        elif FIELD.match(line):
            kind = "field"
            number += 1
            while number < len(lines) and lines[number].startswith("   "):
                number += 1
        elif line.startswith("- "):
            kind = "item"
            number += 1
            while number < len(lines) and lines[number].startswith("  "):
                number += 1
        else:
            kind = "text"
            while number < len(lines) and lines[number].strip() and not FIELD.match(lines[number]) and \
                    not lines[number].startswith(("- ", "    ")):
                number += 1
        result.append((kind, range(start, number)))
    return result


def joined(lines, numbers):
    return " ".join(lines[number].strip() for number in numbers)


def picture(path):
    svg = (Path(__file__).parents[2] / path).read_text()
    title, text = (re.search(rf"<{tag}[^>]*>(.*?)</{tag}>", svg, re.S)[1] for tag in ("title", "desc"))
    return f'<img class="picture" src="{Path(path).name}" alt="{title}. {text.partition(" output = ")[0]}">'


def rendered(lines):
    """As many lines in Doxygen's words."""
    out = [""] * len(lines)
    blocks = blocks_of(lines)
    for index, (kind, numbers) in enumerate(blocks):
        first = numbers[0]
        before = blocks[index - 1][0] if index else None
        after = blocks[index + 1][0] if index + 1 < len(blocks) else None
        if kind == "text":
            text = joined(lines, numbers)
            if index == 0:
                brief, rest = first_sentence(text)
                out[first] = "@brief " + inline(brief, leading=True)
                if rest:  # finish.py takes both into one paragraph again
                    out[first] += "\n\n<br class=\"rest\">" + inline(rest)
            else:
                out[first] = inline(text, leading=True)
        elif kind == "item":
            text = inline(joined(lines, numbers)[2:])
            out[first] = ("<ul>" if before != "item" else "") + f"<li>{text}</li>" + ("</ul>" if after != "item" else "")
        elif kind == "picture":
            out[first] = only_html(picture(PICTURE.match(lines[first])[1]))
        elif kind == "field":
            match = FIELD.match(joined(lines, numbers))
            text = keys(match[2]) if match[1] == "Keys" else inline(match[2])
            if before != "field":  # all fields on one line, since a blank one would end the list
                fields = first
                out[fields] = '<dl class="fields">'
            out[fields] += f"<dt>{match[1]}</dt><dd>{text}</dd>" + ("</dl>" if after != "field" else "")
        elif is_code([lines[number] for number in numbers]):
            for number in numbers:
                out[number] = lines[number]
            out[first - 1] = "@code{.cpp}"
            out[numbers[-1]] += "\n" + "@endcode"
        else:
            rows = [formula.mathml(re.sub(r"\s+", " ", lines[number].strip()), True) for number in numbers]
            out[first] = only_html("".join(f'<p class="formula">{row}</p>' for row in rows))
    return out


def converted(text, source):
    """A header's text for Doxygen, and the page where its text is as it is."""
    link = f'<p class="source"><a href="{source}">The text of the header</a></p>'
    modules = set(re.findall(r"^CONVKIT_MODULE\((\w+)\);", text, re.M))
    lines = text.split("\n")
    out, number, documented, comment = [], 0, {}, []
    seen_once = False
    shared, indent, name = None, "", ""  # a comment also holds for the declarations below the first, up to a blank line
    while number < len(lines):
        line = lines[number]
        match = COMMENT.match(line)
        if match:
            indent, body = match[1], []
            while number < len(lines) and (match := COMMENT.match(lines[number])):
                body.append(match[2])
                number += 1
            comment = rendered(body)
            following = lines[number] if number < len(lines) else ""
            if following.startswith("namespace ") and not seen_once:  # a header's own text stands there
                comment.append(only_html(link))
                out.append("/// @file\n" + "\n".join("/// " + row.replace("\n", "\n/// ") for row in comment))
                seen_once = True
                continue
            shared, name = comment, declared(following)
            found = re.match(r"(?:class|struct) (?:CONVKIT_API )?(\w+)Impl\b", following)
            if found and found[1] in modules:  # one writes the name of its holder, which has the text
                documented[found[1]] = comment
                comment = [f"@brief What a {found[1]} holds: its functions and members. {found[1]} says what it computes."]
            out += ["/// " + row.replace("\n", "\n/// ") for row in comment]
            option = re.match(r"struct (?:CONVKIT_API )?\w+Options\b.*?\n};", "\n".join(lines[number:]), re.S)
            option = option and re.search(r"TORCH_ARG\(.*, (\w+)\) =", option[0])
            if option:
                out.append(f"///\n/// Each is set by a call of its name, which gives the options back, as in <code>options.{option[1]}(...)</code>, "
                           f"and read by <code>options.{option[1]}()</code>.")
            continue
        if trailing := re.match(r"^(.*?)///< ?(.*)$", line):
            more = []
            while number + 1 < len(lines) and (next_one := re.match(r"^ *///< ?(.*)$", lines[number + 1])):
                more.append(next_one[1])
                number += 1
            line = f"{macro(trailing[1])}///< {inline(' '.join([trailing[2], *more]))}"
            out += [line] + [""] * len(more)
        elif found := re.match(r"CONVKIT_MODULE\((\w+)\);", line):
            own = documented.get(found[1], [])
            whole = "\n".join([*own, "", f"{found[1]} is the holder of a {found[1]}Impl. It is made with the arguments of the constructors "
                              "there and called as a function, and `->` leads to the members.",
                              f"Its options are {found[1]}Options." if f" {found[1]}Options " in text else ""])
            out.append("/**\n" + whole + "\n*/\nclass " + found[1] + " {};")
        else:
            if not line.strip():
                shared = None
            elif shared is not None and not out[-1].lstrip().startswith("///") and line.startswith(indent) and \
                    not line[len(indent)].isspace() and declared(line) and \
                    (not indent or declared(line) == name or shared[0].startswith("@brief Each")):
                out += ["/// " + row.replace("\n", "\n/// ") for row in shared]
            out.append(member(macro(line), out))
        number += 1
    if not seen_once:
        place = out.index("#pragma once")
        out[place] += f"\n/// @file\n/// {only_html(link)}\n"
    # What a class makes friends with is documented where it stands.
    return re.sub(r"^ *friend [^{};]*;\n", "", "\n".join(out), flags=re.M)


def declared(line):
    """The name of the function or type that a line begins to declare."""
    found = re.match(r" *(?:CONVKIT_API |inline |constexpr |static |const |\[\[nodiscard\]\] )*(?:using (\w+) =|[\w:]+(?:<.*?>)?[&*]? (\w+)\()", line)
    return found and (found[1] or found[2])


def macro(line):
    if line.lstrip().startswith("#"):
        return line
    line = re.sub(r"\bCONVKIT_API ", "", line)
    return re.sub(r"TORCH_ARG\((.*), (\w+)\)", r"\1 \2", line)


def member(line, before):
    """A line that declares what every module has, with what it is."""
    found = re.match(r" +(?:\[\[nodiscard\]\] )?(?:[\w:]+(?:<.*?>)? )+(\w+)\(.*", line)
    if found and found[1] in MEMBERS and not (before and before[-1].lstrip().startswith("///")):
        return f"/** @brief {MEMBERS[found[1]]} */ {line}"
    return line


def examples(text):
    """The examples in a header's doc comments."""
    comment = []
    for line in [*text.split("\n"), ""]:
        if match := COMMENT.match(line):
            comment.append(match[2])
        elif comment:
            for kind, numbers in blocks_of(comment):
                block = [comment[number] for number in numbers]
                if kind == "code" and is_code(block):
                    yield "\n".join(block)
            comment = []
