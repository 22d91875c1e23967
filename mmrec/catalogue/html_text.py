"""Converts a fragment of HTML, such as a product description, to plain text. The unit of work is one string; knows
nothing of items and columns.

Paragraphs, list items, table rows, headings and line breaks end a line; table cells are separated by a space; scripts,
styles and comments are dropped; character references are decoded. Descriptions are untrusted input, so the running time
is linear in their length for any input; `html.parser` of the standard library takes a minute for some texts of 100 kB.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.entities import html5

_BLOCK_NAMES = """
address article aside blockquote body br caption center dd details dialog div dl dt fieldset figcaption figure footer
form h1 h2 h3 h4 h5 h6 header hr html legend li main nav ol option p pre section select summary table tbody tfoot thead
title tr ul
"""
_INLINE_NAMES = """
a abbr b bdi bdo big cite code data del dfn em embed font head i iframe img input ins kbd label link mark meta noscript
object picture q s samp script small source span strike strong style sub sup svg time tt u var video wbr
"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_CELLS = frozenset(("td", "th"))
_DROPPED = frozenset(("script", "style"))
_MARKUP = _BLOCKS | _CELLS | frozenset(_INLINE_NAMES.split())
_NAME = re.compile(r"</?([a-z][a-z0-9]*)", re.IGNORECASE)
_MARKUP_LIKE = re.compile(r"</?([a-z][a-z0-9]*)(?:\s[^<>]*|/)?>|<!--|<!doctype\s", re.IGNORECASE)
_REST_OF_TAG = re.compile(r"""(?:[^>"']|"[^"]*"|'[^']*')*+>""")
_ENDS = {name: re.compile(rf"</{name}(?![a-z0-9])", re.IGNORECASE) for name in _DROPPED}
_REFERENCE = re.compile(r"&(?:[a-z][a-z0-9]{1,31}|#[0-9]{1,7}|#x[0-9a-f]{1,6});", re.IGNORECASE)
_INVISIBLE = re.compile("[\u00ad\u200b\ufeff]")


def html_to_text(text: str) -> str:
    """The words of a fragment of HTML, one line for each paragraph, list item, heading or table row.

    Args:
        text: HTML, complete or not; unbalanced tags are accepted. Plain text is returned with its white space
            joined and ``&amp;`` decoded.

    Returns:
        Lines without white space at their ends, separated by one line feed; '' where there are no words.
    """
    lines = (" ".join(_INVISIBLE.sub("", line).split()) for line in "".join(_pieces(text)).split("\n"))
    return "\n".join(filter(None, lines))


def looks_like_html(text: str) -> bool:
    """Whether a text has a tag of HTML, a comment, or a character reference such as ``&nbsp;``.

    ``<3``, ``a < b`` and ``List<T>`` are no tags, and ``AT&T`` is no reference.
    """
    if "<" in text and any(found[1] is None or found[1].lower() in _MARKUP for found in _MARKUP_LIKE.finditer(text)):
        return True
    return "&" in text and any(_is_known(found[0]) for found in _REFERENCE.finditer(text))


def _is_known(reference: str) -> bool:
    return reference[1] == "#" or reference[1:] in html5


def _pieces(text: str) -> Iterator[str]:
    """Pieces of plain text; a line feed ends a line."""
    at, last, quotes = 0, text.rfind(">"), True
    while (start := text.find("<", at)) >= 0:
        yield _decoded(text[at:start])
        if text.startswith("<!--", start):
            end = text.find("-->", start + 4)
            at = len(text) if end < 0 else end + 3
            continue
        name = _NAME.match(text, start)
        if start > last or (name is None and not text.startswith(("<!", "<?"), start)):
            yield "<"
            at = start + 1
            continue
        rest = _REST_OF_TAG.match(text, start) if quotes else None
        # After an unclosed quotation mark, quotes are ignored from here on: a tag ends at the next '>'.
        quotes = rest is not None
        at = rest.end() if rest is not None else text.index(">", start) + 1
        tag = "" if name is None else name[1].lower()
        if tag in _BLOCKS:
            yield "\n"
        elif tag in _CELLS:
            yield " "
        elif tag in _DROPPED and text[start + 1] != "/":
            end_tag = _ENDS[tag].search(text, at)
            at = len(text) if end_tag is None else end_tag.start()
    yield _decoded(text[at:])


def _decoded(words: str) -> str:
    # A line break in the source is a space on the page.
    return _REFERENCE.sub(lambda found: html.unescape(found[0]), words).replace("\n", " ")
