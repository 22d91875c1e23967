"""Words out of HTML as shops write it: with the editor's markup, with mistakes, and with no markup at all."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.catalogue.html_text import html_to_text, looks_like_html


@pytest.mark.parametrize(
    ("markup", "words"),
    [
        ("", ""),
        ("plain words", "plain words"),
        ("<p>First.</p><p>Second.</p>", "First.\nSecond."),
        ("<p>One\n  line</p>\n\n<ul>\n<li>100% wool</li>\n<li>Småland</li>\n</ul>", "One line\n100% wool\nSmåland"),
        ("An <b>oak</b> lamp,<br>40&nbsp;cm", "An oak lamp,\n40 cm"),
        ("in<em>separ</em>able", "inseparable"),
        ("<h2>Care</h2>Wash at 30&deg;C &amp; dry<hr/>flat", "Care\nWash at 30°C & dry\nflat"),
        ("<table><tr><th>Size</th><td>M</td></tr><tr><td>Colour</td><td>red</td></tr></table>", "Size M\nColour red"),
        ("a<script>alert('<p>no</p>')</script>b<style>p {color: red}</style>c", "abc"),
        ("<SCRIPT type='text/javascript'>x()</SCRIPT >yes", "yes"),
        ("before<!-- a <b>comment</b> -->after", "beforeafter"),
        ("<p>never closed<li>nor this</div></span>", "never closed\nnor this"),
        ("2 < 3 and 5 > 4", "2 < 3 and 5 > 4"),
        ("&lt;p&gt; stays text", "<p> stays text"),
        ("&#8364;19 &#x1F56F; &unknown; AT&T", "€19 🕯 &unknown; AT&T"),
        ('<img src="a.jpg" alt="not read"><a href="x?a=1&b=2">a link</a>', "a link"),
        ("soft\u00adhyphen and zero\u200bwidth", "softhyphen and zerowidth"),
        ("<script>an unclosed script", ""),
        ("a <b title='1 > 0'>bold</b> word", "a bold word"),
        ('<a href="never closed>a link</a> and <b>more</b>', "a link and more"),
        ("<p>price <five euros", "price <five euros"),
        ("<!DOCTYPE html><?xml version='1.0'?><p>x", "x"),
        ("<!-- never closed", ""),
        ("I <3 it </3", "I <3 it </3"),
        (f"&#{'9' * 5000}; &#0;x", f"&#{'9' * 5000}; \ufffdx"),
        ("<p>  </p><p>&nbsp;</p>", ""),
    ],
)  # fmt: skip
def test_words_of_a_fragment(markup: str, words: str) -> None:
    assert html_to_text(markup) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p>yes</p>", True),
        ("a line<br/>break", True),
        ("<SPAN class='x'>yes</SPAN>", True),
        ("closed only</div>", True),
        ("<!-- a comment -->", True),
        ("fish &amp; chips", True),
        ("5&nbsp;cm", True),
        ("", False),
        ("fish & chips", False),
        ("AT&T; and &more; than that", False),
        ("I <3 it", False),
        ("a < b > c", False),
        ("List<T> of things", False),
        ("price <five euros", False),
    ],
)
def test_what_looks_like_html(text: str, expected: bool) -> None:
    assert looks_like_html(text) is expected


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1), max_size=5))
def test_escaped_paragraphs_come_back_as_lines(lines: list[str]) -> None:
    unseen = str.maketrans("", "", "\u00ad\u200b\ufeff")
    expected = [line.translate(unseen) for line in lines]
    markup = "".join(f"<p>{html.escape(line)}</p>\n" for line in lines)
    assert html_to_text(markup) == "\n".join(filter(None, expected))


@given(st.text(st.sampled_from("<>/!-&;#ap =\"'\n\x00scriptyl"), max_size=60))
def test_whatever_is_fed_gives_trimmed_lines(text: str) -> None:
    found = html_to_text(text)
    assert found == "\n".join(" ".join(line.split()) for line in found.split("\n") if line.strip())


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ["<", "<!--", "<a ", "<a b='", "<a \">'", "</", "<script>", "<!", "&", "&#", "<p ", "<a>'"]
)
def test_hostile_text_takes_time_in_proportion_to_its_length(piece: str) -> None:
    for text in (piece * 60_000, piece * 60_000 + ">", "<a '>" + piece * 60_000):
        assert isinstance(html_to_text(text), str)
        assert isinstance(looks_like_html(text), bool)
