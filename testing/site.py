"""The documents as the site has them: which they are, in which order, and what their Markdown must be for another renderer.

The repository's code host is the first reader of the documents; mkdocs reads them by older rules. mkdocs_hooks.py calls this.
"""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FRONT = "README.md"
INDEX = "docs/README.md"
# Draws the diagrams: mermaid 11.17.2 (MIT) as its package on npm has it. Without it the theme asks another host for one. It is
# in the repository, so that a build needs no npm; only pages with a diagram load its 3.5 MB.
DRAWING = "docs/javascript/mermaid.min.js"
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *(```|~~~)")
ITEM = re.compile(r"^(?:[-*]|\d+\.) ")
DEEPER = re.compile(r"^ {2,3}(?=\S)")


def pages() -> list[str]:
    """The documents and what they show, by their paths from the project's root."""
    shown = (path for path in ROOT.glob("docs/**/*") if path.suffix in (".md", ".png", ".svg"))
    found = [*ROOT.glob("*.md"), *shown, ROOT / DRAWING, (ROOT / DRAWING).with_name("mermaid.LICENSE")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def with_drawing(html: str, drawing: str) -> str:
    """A page's HTML with the script that draws its diagrams, if it has any. `drawing`: the script's URL from the page."""
    return f'{html}\n<script src="{drawing}"></script>' if '<pre class="mermaid">' in html else html


def navigation() -> list[dict[str, object]]:
    """The doors of docs/README.md, each with its pages by their titles."""
    doors: list[dict[str, object]] = [{"Start": FRONT}, {"All documents": INDEX}]
    for section in (ROOT / INDEX).read_text(encoding="utf-8").split("\n## ")[1:]:
        targets = re.findall(r"^\| \[[^\]]+\]\(([^)#]+)\)", section, re.MULTILINE)
        names = [posixpath.normpath(posixpath.join("docs", target)) for target in targets]
        doors.append({section.partition("\n")[0]: [{title(name): name} for name in names if name != FRONT]})
    return doors


def title(name: str) -> str:
    """A page's first heading."""
    found = re.search(r"^# (.+)$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f"{name} has no heading")
    return found[1]


def for_the_site(name: str, text: str, source: str) -> str:
    """A page's Markdown for mkdocs. `source` is the URL of the repository, empty if it has none.

    What belongs to an item of a list is indented by four, a list begins after an empty line, and what is no page is linked in
    the repository; where that has no URL, its name alone stays.
    """
    lines, fenced, before = list[str](), False, ""
    for line in text.splitlines():
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            if ITEM.match(line) and before and not ITEM.match(before) and not before.startswith(" "):
                lines.append("")
            line = LINK.sub(lambda link: _link(name, link, source), DEEPER.sub("    ", line))
        lines.append(line)
        before = line
    return "\n".join(lines) + "\n"


def _link(name: str, link: re.Match[str], source: str) -> str:
    target = link[3]
    if re.match(r"https?:|mailto:|#", target):
        return link[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target.partition("#")[0]))
    if path in pages():
        return link[0]
    return f"{link[1]}[{link[2]}]({source.rstrip('/')}/blob/main/{path})" if source else f"`{link[2].strip('`')}`"
