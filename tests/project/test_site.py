"""The documents as a site: which pages it has, and what becomes of Markdown that its renderer reads in another way.

That it builds, and that each of its links leads somewhere, is in test_outside_tools.py: it needs packages of its own.
"""

import hashlib
from typing import Any, cast

import pytest

from testing.documents import DOCUMENTS, read
from testing.site import DRAWING, ROOT, for_the_site, navigation, pages, with_drawing

URL = "https://code.example/them/worker"


def test_it_has_every_document_and_its_pictures() -> None:
    documents = {name for name in pages() if name.endswith(".md")}
    assert documents == {name for name in DOCUMENTS if not name.startswith(".github/")}
    assert "docs/live-page.png" in pages()


def test_its_menu_has_every_page_of_the_index_by_its_title() -> None:
    start, index, *doors = navigation()
    assert (start, index) == ({"Start": "README.md"}, {"All documents": "docs/README.md"})
    assert [name for door in doors for name in door] == ["Run it", "Operate it", "Understand it", "Change it"]
    entries = [entry for door in doors for entry in cast("list[dict[str, Any]]", next(iter(door.values())))]
    assert {"Architecture": "docs/architecture.md"} in entries
    named = {name for entry in entries for name in entry.values()}
    inside = {name for name in pages() if name.startswith("docs/") and name.endswith(".md") and name.count("/") == 1}
    assert inside - {"docs/README.md"} <= named <= set(pages())


@pytest.mark.parametrize(
    ("markdown", "as_it_is_read"),
    [
        ("text:\n- one\n- two", "text:\n\n- one\n- two"),
        ("- one\n  more\n  - inner\n- two", "- one\n    more\n    - inner\n- two"),
        ("1. one\n   more", "1. one\n    more"),
        ("```\ntext\n- one\n  two\n[a](../b)\n```", "```\ntext\n- one\n  two\n[a](../b)\n```"),
        ("[a](trust.md#levels), [b](https://b.example)", "[a](trust.md#levels), [b](https://b.example)"),
        ("[`a`](../deploy/x.yml) [b](../LICENSE)", f"[`a`]({URL}/blob/main/deploy/x.yml) [b]({URL}/blob/main/LICENSE)"),
    ],
)
def test_what_its_renderer_reads_in_another_way_is_rewritten(markdown: str, as_it_is_read: str) -> None:
    assert for_the_site("docs/page.md", markdown, URL) == f"{as_it_is_read}\n"


def test_where_the_source_has_no_url_a_file_is_named_alone() -> None:
    assert for_the_site("README.md", "[deploy/x](deploy/x) and [`y`](y.py)", "") == "`deploy/x` and `y`\n"


def test_diagrams_are_left_to_the_reader() -> None:
    assert for_the_site("docs/tables.md", read("docs/tables.md"), "").count("```mermaid\n") == 3


def test_a_page_with_a_diagram_loads_what_draws_it_and_another_page_does_not() -> None:
    drawn = '<pre class="mermaid"><code>flowchart</code></pre>'
    assert with_drawing("<p>text</p>", "../m.js") == "<p>text</p>"
    assert with_drawing(drawn, "../m.js") == f'{drawn}\n<script src="../m.js"></script>'
    assert {DRAWING, DRAWING.replace(".min.js", ".LICENSE")} <= set(pages())


def test_what_draws_the_diagrams_is_the_release_that_it_is_said_to_be() -> None:
    digest = hashlib.sha256((ROOT / DRAWING).read_bytes()).hexdigest()
    assert digest == "581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8"
