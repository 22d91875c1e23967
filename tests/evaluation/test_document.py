"""Reports: names are data in both formats, and a page needs nothing but itself."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.errors import InvalidArgumentError
from mmrec.evaluation.document import (
    Figure,
    Heading,
    Text,
    TextTable,
    render_html,
    render_markdown,
    write_document,
)
from mmrec.evaluation.plots import Bar, draw_bars, draw_curves, draw_differences, draw_groups, draw_points

HOSTILE = "<script>alert('x')</script> \"a\" & $\\frac{1}{0}$ | ![x](http://x) `b`\n# c"


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_shows_hostile_names_as_they_are_and_runs_none() -> None:
    page = render_html(
        [Heading(1, HOSTILE), Text(HOSTILE), TextTable((HOSTILE,), [(HOSTILE,)]), Figure("f", HOSTILE, b"<svg/>")]
    )
    seen = Seen()
    seen.feed(page)
    assert "script" not in seen.tags
    assert seen.text.count(HOSTILE) == 6  # the title of the page among them
    assert all(source.startswith("data:image/svg+xml;base64,") for source in seen.sources)


def test_markdown_keeps_hostile_names_in_their_cell() -> None:
    lines = render_markdown([TextTable(("a", "b"), [(HOSTILE, "1.0")])]).splitlines()
    assert len(lines) == 3
    assert lines[1] == "|---|---:|"
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == 3
    assert "<script" not in lines[2]
    assert not re.search(r"(?<!\\)\[x", lines[2])


@settings(max_examples=40)
@given(st.text(max_size=30))
def test_no_text_breaks_out_of_a_table(text: str) -> None:
    lines = render_markdown([TextTable(("a",), [(text,)])]).split("\n")
    assert len(lines) == 4
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", lines[2])) == 2
    seen = Seen()
    seen.feed(render_html([TextTable(("a",), [(text,)])]))
    assert seen.tags[-2:] == ["tr", "td"]


def test_a_document_is_written_with_its_figures(tmp_path: Path) -> None:
    blocks = [Heading(1, "It"), Figure("plot", "What it shows", draw_bars([Bar("a", 1.0, 0.5, 2.0)], "x"))]
    page = write_document(tmp_path / "new" / "report", blocks)
    assert page == tmp_path / "new" / "report" / "report.html"
    assert (page.parent / "report.md").read_text() == "# It\n\n![What it shows](figures/plot.svg)\n"
    assert (page.parent / "figures" / "plot.svg").read_bytes().startswith(b"<?xml")
    before = page.read_bytes()
    write_document(tmp_path / "new" / "report", blocks)
    assert page.read_bytes() == before


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidArgumentError, match="report folder"):
        write_document(tmp_path / "file", [])


def test_every_plot_takes_hostile_labels_and_is_the_same_twice() -> None:
    bars = [Bar(HOSTILE, 0.2, 0.1, 0.3), Bar("_hidden", 0.1, 0.1, 0.1, strong=False)]
    one, other = (
        [
            draw_bars(bars, "NDCG"),
            draw_differences(bars, "difference"),
            draw_groups(["1-4", "5+"], {HOSTILE: bars, "b": bars}, "NDCG"),
            draw_points([(HOSTILE, 0.1, 0.2)], "x", "y"),
            draw_curves([1, 2], {"loss": [2.0, 1.0]}, 2, "epoch", "loss"),
        ]
        for _ in range(2)
    )
    assert one == other
    assert not any(b"<script" in svg for svg in one)


def test_a_name_as_long_as_a_path_leaves_room_for_the_plot() -> None:
    path = "/srv/" + "shop/bundles/" * 30
    bars = [Bar(path, 0.1, 0.05, 0.2)]
    # A warning is an error here: matplotlib warns where the labels leave nothing for the axes.
    for drawn in (draw_bars(bars, path), draw_differences(bars, "x"), draw_points([(path, 1.0, 2.0)], "x", "y")):
        assert drawn.startswith(b"<?xml")
