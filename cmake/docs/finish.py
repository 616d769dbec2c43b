"""finish.py SITE INPUT: makes Doxygen's pages the site's, and checks them.

It writes the names that the search finds into names.js. It fails for a link that leads nowhere, and for a warning of
Doxygen's, such as of a public name without a doc comment.
"""

import ast
import html
import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

SITE, INPUT = (Path(argument) for argument in sys.argv[1:3])
HTML = SITE / "html"
# Names that say all themselves: an option, a child or a member of a result is explained with its class.
SPEAKING = re.compile(r"\((variable|enumvalue)\) of |Member (\w+)\(.*\(function\) of (?:class|struct) (?:\w+::)*\2\b|"
                      r"Member operator|Member (\w+_t|value_type|difference_type)\b|Member \w+\(.*\) -> ")


def finished(text, names):
    """Doxygen's page in the words of the site."""
    text = text.replace(" <math", "<math")  # it puts a space before what it takes over
    text = re.sub(r'(<a class="el"[^>]*?) title="[^"]*"', r"\1", text)
    text = re.sub(r'\s*<a href="[^"]*">More\.\.\.</a>(<br />)?', "", text)
    # The house's own search takes the place of Doxygen's, and the list of headers that of its path.
    text = re.sub(r'<script type="text/javascript">\s*/\* @license.*?</script>', "", text, flags=re.S)
    text = re.sub(r"<!-- window showing the filter options -->.*?</iframe>\s*</div>", "", text, flags=re.S)
    text = re.sub(r'<div id="nav-path".*?</div>', "", text, flags=re.S)
    text = re.sub(r"</div><!-- top -->", "", text)
    text = re.sub(r'<a class="[^"]*" href="namespace(?:std|torch)[^"]*">(.*?)</a>', r"\1", text)
    text = re.sub(r'<a name="details" id="details"></a><h2 class="groupheader">Detailed Description</h2>',
                  '<a id="details"></a>', text)

    def title(match):
        name = match[1]
        kind = ""
        if found := re.fullmatch(r"(.*) (Class|Struct|File|Namespace|Concept) (?:Template )?Reference(.*)", name):
            name, kind = found[1], found[2].lower()
            if kind == "file":
                name, kind = f"&lt;convkit/{name.removeprefix('convkit/')}&gt;", "header"
            name = re.sub(r"(::|_)", r"\1<wbr>", name)
        return f'<h1>{name}{f" <small>{kind}</small>" if kind else ""}</h1>'

    text = re.sub(r'<div class="headertitle"><div class="title">(.*?)</div></div>', title, text, flags=re.S)
    # What is inherited stands there, without a button to show it.
    text = re.sub(r' onclick="javascript:toggleInherit[^"]*"|<img src="closed.png"[^>]*/?>(?:&#160;)?', "", text)
    ids = set(re.findall(r'id="([^"]*)"', text))
    text = re.sub(r'<a href="#([\w-]+)">[^<]*</a>(?: &#124;\s*)?', lambda match: match[0] if match[1] in ids else "", text)
    text = re.sub(r'\s*</p>\s*<p ?><br  class="rest" />\s*', " ", text)
    # A name in code leads to its page, unless there are several of that name.
    text = re.sub(r"(<a [^>]*>.*?</a>|<h1>.*?</h1>|<pre.*?</pre>)|<code>(?:convkit::)?([A-Z]\w+|\w+_\w+)(\(\))?</code>",
                  lambda match: match[0] if match[1] or match[2] not in names else
                  f'<a href="{names[match[2]]}">{match[0]}</a>', text, flags=re.S)
    # A long list in code breaks at its commas.
    text = re.sub(r"<code>[^<>]{30,}</code>", lambda match: match[0].replace(",", ",<wbr>"), text)
    # Tables scroll by themselves where the window is narrow.
    text = re.sub(r'(<table class="(?:markdownTable|doxtable)">.*?</table>)', r'<div class="wide">\1</div>', text, flags=re.S)
    return text


def documented():
    """All names, with their places and scopes."""
    found = []
    for file in (HTML / "search").glob("all_*.js"):
        data = ast.literal_eval(file.read_text().partition("=")[2].strip().rstrip(";"))
        for _, (name, *places) in data:
            for link, _, scope in places:
                if "&lt;" in name:  # what a class template makes, such as Block< ConvBlockImpl >
                    continue
                found.append([html.unescape(name), link.removeprefix("../"), html.unescape(scope)])
    return found


def write_names(found):
    """What the search looks through: the names, and the headings of the pages."""
    for page in sorted(INPUT.glob("*.md")):
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
        title = re.search(r"# (.*) \{", text)[1]
        for heading, label in re.findall(r"^##+ (.*) \{#(.*)\}$", text, re.M):
            found.append([heading.replace("`", ""), f"{label.partition('-')[0]}.html#{label}", title])
    found = sorted((entry for entry in found if not entry[1].startswith("file_")), key=lambda entry: (entry[0].lower(), entry))
    (HTML / "names.js").write_text("const names = " + json.dumps(found, ensure_ascii=False, separators=(",", ":")) + ";\n")
    shutil.rmtree(HTML / "search")


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.targets, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        for key in ("id", "name"):
            if key in values:
                self.anchors.add(values[key])
        if target := values.get("href") or values.get("src"):
            self.targets.append(target)


def dead_links():
    pages = {page.name: Links(page.read_text()) for page in HTML.glob("*.html")}
    listed = json.loads((HTML / "names.js").read_text().removeprefix("const names = ").rstrip(";\n"))
    for page, links in [*pages.items(), ("names.js", None)]:
        for target in links.targets if links else [entry[1] for entry in listed]:
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = unquote(target).partition("#")
            if path and not (HTML / path).is_file():
                yield f"{page}: a link leads nowhere: {target}"
            elif anchor and anchor not in pages[path or page].anchors:
                yield f"{page}: a link leads to no anchor: {target}"


def warnings():
    said = set()
    for line in (SITE / "warnings.txt").read_text().splitlines():
        if line.strip() and not SPEAKING.search(line):
            said.add(line.replace(f"{INPUT}/", ""))
    return sorted(said)


def main():
    for file in [*HTML.glob("*.png"), *HTML.glob("*.js"), HTML / "tabs.css", HTML / "doxygen.svg"]:
        if file.name != "site.js" and file.is_file():  # of Doxygen's own pages
            file.unlink()
    shutil.copytree(INPUT / "html", HTML, dirs_exist_ok=True)
    for page in HTML.glob("*-members.html"):
        page.unlink()
    found = documented()
    places = {}
    for name, link, scope in found:
        if name[0].isupper() or "(" in scope:  # classes and functions; the name of an option may mean another one
            places.setdefault(name, set()).add(link)
    names = {name: links.pop() for name, links in places.items() if len(links) == 1}
    for page in HTML.glob("*.html"):
        page.write_text(finished(page.read_text(), names))
    write_names(found)
    failures = [*warnings(), *sorted(set(dead_links()))]
    print(f"{len(list(HTML.glob('*.html')))} pages: {HTML / 'index.html'}")
    if failures:
        sys.exit("\n".join(["", *failures, f"{len(failures)} faults"]))


main()
