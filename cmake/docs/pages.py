"""pages.py SOURCE OUT HEADER...: what Doxygen reads, into the folder OUT.

    OUT/include      the headers, their doc comments in Doxygen's words
    OUT/*.md         the folders' README.md, whose links lead to pages of the site
    OUT/source.dox   a page for each header, and each file that a page links to, with its text
    OUT/header.html  what all pages begin with: the search and the list of pages and headers, in the house's order
    OUT/html/        the pictures, and linked files that are no text
"""

import html
import os
import re
import shutil
import sys
from pathlib import Path

import comments

SOURCE, OUT = (Path(os.path.abspath(argument)) for argument in sys.argv[1:3])
HEADERS = sys.argv[3:]
FENCE = re.compile(r"(^```.*?^```$)", re.M | re.S)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
PICTURES = {".svg", ".png"}


def all_pages():
    """The README first, then those of what it can do, and the others in the order in which pages link to them."""
    folders = [SOURCE / name for name in (".github", "cmake", "include", "src", "apps", "tests")]
    there = [SOURCE / "README.md", *sorted(page for folder in folders for page in folder.rglob("*.md")),
             SOURCE / "CHANGELOG.md"]
    found = [there[0]]
    main = there[0].read_text()
    links = [(there[0], link) for link in re.findall(r"\*\*\[[^]]*\]\(([^)]+)\)", main)]
    for page in found:
        links += [(page, link) for *_, link in LINK.findall(FENCE.sub("", page.read_text()))]
        while links:
            origin, link = links.pop(0)
            target = Path(os.path.normpath(origin.parent / link.partition("#")[0]))
            if target in there and target not in found:
                found.append(target)
    return found + [page for page in there if page not in found]


def name_of(page):
    """The name of a page of the site, without .html."""
    path = page.relative_to(SOURCE)
    if str(path) == "README.md":
        return "index"
    stem = path.parent if path.name == "README.md" else path.with_suffix("").name
    return re.sub(r"\W", "_", str(stem)).strip("_").lower()


def header_page(path):
    """What Doxygen calls the page of a header: its shortest path that no other header ends with."""
    parts = path.removeprefix("include/convkit/").split("/")
    name = parts[-1]
    if sum(other.split("/")[-1] == name for other in HEADERS) > 1:
        name = "/".join(parts)
    return name.replace("_", "__").replace("/", "_2").replace(".", "_8") + ".html"


def source_page(path):
    return "file_" + re.sub(r"\W", "_", path) + ".html"


def heading_anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


linked_files = set(HEADERS)


def target_of(page, link):
    """Where a link of a page leads on the site."""
    if re.match(r"[a-z]+:", link):
        return link
    path, _, anchor = link.partition("#")
    target = Path(os.path.normpath(page.parent / path)) if path else page
    if target.suffix == ".md":
        return name_of(target) + ".html" + (f"#{name_of(target)}-{anchor}" if anchor else "")
    relative = str(target.relative_to(SOURCE))
    if relative in HEADERS:
        return header_page(relative)
    if target.suffix in PICTURES or b"\0" in target.read_bytes()[:4096]:
        shutil.copy(target, OUT / "html" / target.name)
        return target.name
    linked_files.add(relative)
    return source_page(relative)


def prose(page, text):
    """Prose between blocks of code."""
    def link(match):
        target = target_of(page, match[3])
        if match[1]:
            return f'<img class="picture" src="{target}" alt="{html.escape(match[2])}">'
        return f'<a href="{target}">{match[2].replace("`", "")}</a>' if "`" not in match[2] else \
            f'<a href="{target}">' + re.sub(r"`([^`]*)`", r"<code>\1</code>", match[2]) + "</a>"

    def heading(match):
        name = name_of(page)
        label = f"{name}-{heading_anchor(match[2])}"
        return f"{match[1]} {match[2]} {{#{label}}}"

    text = re.sub(r"^<!--.*?-->\n", "", text, flags=re.M)
    if not re.search(r"^## ", page.read_text(), re.M):
        text = re.sub(r"^###", "##", text, flags=re.M)  # Doxygen wants no gap between levels
    pieces = re.split(r"(`[^`\n]+`(?![^\[\n]*\]\())", text)
    text = "".join(piece if piece.startswith("`") else LINK.sub(link, piece) for piece in pieces)
    return re.sub(r"^(##+) (.*)$", heading, text, flags=re.M)


def converted(page):
    title, _, body = page.read_text().partition("\n")
    name = "mainpage" if name_of(page) == "index" else name_of(page)
    out = [f"{title} {{#{name}}}\n"]
    for piece in FENCE.split(body):
        if piece.startswith("```"):
            language, _, code = piece[3:-3].partition("\n")
            out.append(f"```{{.{language}}}\n{code}```")
        else:
            out.append(prose(page, piece))
    return "".join(out)


def title_of(page):
    return page.read_text().partition("\n")[0].removeprefix("# ").strip()


def navigation(pages):
    def item(target, text):
        return f'<li><a href="$relpath^{target}">{html.escape(text)}</a></li>'

    def network(header):
        return header.startswith("include/convkit/models/")

    out = ["<h2>Pages</h2><ul>"]
    out += [item(name_of(page) + ".html", title_of(page)) for page in pages]
    out.append("</ul><h2>Headers</h2><ul>")
    inside = False
    for header in HEADERS:
        if network(header) and not inside:
            out.append("<li><details><summary>models/</summary><ul>")
        elif inside and not network(header):
            out.append("</ul></details></li>")
        inside = network(header)
        out.append(item(header_page(header), header.rsplit("/", 1)[-1]))
    out.append("</ul>")
    return "\n".join(out)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "html").mkdir(parents=True)
    pages = all_pages()
    for page in pages:
        (OUT / f"{name_of(page)}.md").write_text(converted(page))
    for header in HEADERS:
        (OUT / header).parent.mkdir(parents=True, exist_ok=True)
        (OUT / header).write_text(comments.converted((SOURCE / header).read_text(), source_page(header)))
    for picture in (SOURCE / "apps/qa/pictures").glob("*.svg"):
        shutil.copy(picture, OUT / "html")
    with open(OUT / "source.dox", "w") as file:
        for path in sorted(linked_files):
            (OUT / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SOURCE / path, OUT / "files" / path)
            file.write(f"/** @page {source_page(path).removesuffix('.html')} {path}\n@include{{lineno}} {path}\n*/\n")
    template = (Path(__file__).parent / "header.html").read_text()
    (OUT / "header.html").write_text(template.replace("@NAVIGATION@", navigation(pages)))


main()
