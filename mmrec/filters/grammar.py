r"""The language of filters: text in, a small tree of conditions out. Knows nothing about catalogues.

After AIP-160 (https://google.aip.dev/160): ``category = "shoes" AND price < 50 AND NOT brand IN ("x", "y")``. As there,
**OR binds tighter than AND** (``a = 1 AND b = 2 OR c = 3`` means ``a = 1 AND (b = 2 OR c = 3)``), conditions side by
side are joined by AND, and ``-`` in front negates like NOT. Words of the language are in capitals. A value is a bare
word, or a text in single or double quotes with ``\`` before a quote or backslash inside it; so is a column. ``*`` in a
value of ``=``, ``!=`` and IN stands for any characters, ``\*`` in a quoted one for a star.

Anything that breaks a rule becomes an error that points at the character.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from mmrec.errors import InvalidArgumentError

MAX_FILTER_CHARS = 10_000
"""Longest filter, in characters."""
MAX_FILTER_DEPTH = 50
"""Most parentheses inside each other."""
MAX_FILTER_TERMS = 100
"""Most conditions in one filter; a list after IN counts as one condition for every ten values."""

_GRAMMAR = r"""
expression: factor
          | expression AND factor
          | expression factor
factor: term
      | factor OR term
?term: simple
     | (NOT | MINUS) simple                        -> negation
?simple: "(" expression ")"
       | column COMPARATOR value                   -> comparison
       | column IN "(" value ("," value)* ")"      -> membership
       | column NOT IN "(" value ("," value)* ")"  -> exclusion
column: WORD | STRING
value: WORD | STRING | TIME

COMPARATOR: "!=" | "<=" | ">=" | "=" | "<" | ">" | ":"
AND.3: /AND(?=[\s()]|$)/
OR.3: /OR(?=[\s()]|$)/
NOT.3: /NOT(?=[\s()]|$)/
IN.3: /IN(?=[\s()]|$)/
MINUS.3: /-(?=\s*\()/
TIME.2: /\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?/
STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
WORD: /[^\s()"',=!<>:]+/

%ignore /\s+/
"""

_KEYWORDS = ("AND", "OR", "NOT", "IN")
_WINDOW = 60
"""Characters shown on either side of a mistake."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A word or quoted text, and where it stands.

    Attributes:
        pieces: The text between stars; one piece when there is no star.
        at: Place of its first character.
        quoted: Whether it was in quotes.
    """

    pieces: tuple[str, ...]
    at: int
    quoted: bool = False

    @property
    def text(self) -> str:
        """The text, stars included."""
        return "*".join(self.pieces)

    @property
    def wild(self) -> bool:
        """Whether it holds a star that stands for any characters."""
        return len(self.pieces) > 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition on one column.

    Attributes:
        column: Its name.
        operator: ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``:`` or ``IN``.
        values: What to compare with; several for ``IN`` alone.
    """

    column: Literal
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True where the condition is not."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class All:
    """True where every condition is."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """True where at least one condition is."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Comparison | Not | All | Either
"""A filter, parsed."""


def parse_filter(expression: str) -> Condition:
    """The conditions of a filter.

    Args:
        expression: The filter; not blank.

    Raises:
        InvalidArgumentError: it is too long, too deep, has too many conditions, or has a syntax error.
    """
    if len(expression) > MAX_FILTER_CHARS:
        raise InvalidArgumentError(
            f"the filter has {len(expression):,} characters; at most {MAX_FILTER_CHARS:,} are accepted: shorten it, or "
            "filter by a column that says the same in fewer words",
            field="filter",
        )
    if any("\ud800" <= character <= "\udfff" for character in expression):
        raise InvalidArgumentError("the filter holds half a surrogate pair; send valid Unicode", field="filter")
    try:
        _check_size(expression, _parser().lex(expression))
        tree: Any = _parser().parse(expression)
    except UnexpectedInput as err:
        raise _explain(expression, err) from None
    condition: Condition = tree
    return condition


def refusal(expression: str, at: int, message: str) -> InvalidArgumentError:
    """An error that shows the filter and points at a character of it."""
    start, end = max(0, at - _WINDOW), min(len(expression), at + _WINDOW)
    shown = "".join(character if character.isprintable() else " " for character in expression[start:end])
    before, after = "..." if start else "", "..." if end < len(expression) else ""
    pointer = " " * (len(before) + at - start) + "^"
    return InvalidArgumentError(
        f"filter, character {at + 1}: {message}\n  {before}{shown}{after}\n  {pointer}", field="filter"
    )


class _Tree(Transformer[Token, Any]):
    """Builds conditions while the parser reduces, so that no tree is ever walked."""

    def expression(self, parts: list[Any]) -> Condition:
        return self._joined(All, parts)

    def factor(self, parts: list[Any]) -> Condition:
        return self._joined(Either, parts)

    def negation(self, parts: list[Any]) -> Condition:
        return Not(parts[1])

    def comparison(self, parts: list[Any]) -> Condition:
        column, operator, value = parts
        return _minus(column, Comparison(column, str(operator), (value,)))

    def membership(self, parts: list[Any]) -> Condition:
        column, _, *values = parts
        return _minus(column, Comparison(column, "IN", tuple(values)))

    def exclusion(self, parts: list[Any]) -> Condition:
        column, _, _, *values = parts
        return _minus(column, Not(Comparison(column, "IN", tuple(values))))

    def column(self, parts: list[Token]) -> Literal:
        literal = _literal(parts[0])
        return Literal((literal.text,), literal.at, literal.quoted)

    def value(self, parts: list[Token]) -> Literal:
        return _literal(parts[0])

    @staticmethod
    def _joined(kind: type[All] | type[Either], parts: list[Any]) -> Condition:
        conditions: list[Condition] = []
        for part in parts:
            if isinstance(part, Token):
                continue
            conditions += part.conditions if isinstance(part, kind) else [part]
        return conditions[0] if len(conditions) == 1 else kind(tuple(conditions))


def _minus(column: Literal, condition: Condition) -> Condition:
    """``-brand = x`` is NOT brand = x; a column that is really called ``-brand`` must be quoted."""
    if column.quoted or not column.text.startswith("-") or len(column.text) == 1:
        return condition
    inner = condition.condition if isinstance(condition, Not) else condition
    assert isinstance(inner, Comparison)
    bare = Comparison(Literal((column.text[1:],), column.at + 1), inner.operator, inner.values)
    return bare if isinstance(condition, Not) else Not(bare)


def _literal(token: Token) -> Literal:
    at = int(token.start_pos or 0)
    if token.type != "STRING":
        return Literal(tuple(str(token).split("*")) if token.type == "WORD" else (str(token),), at)
    pieces, piece, characters = [], "", iter(str(token)[1:-1])
    for character in characters:
        if character == "*":
            pieces.append(piece)
            piece = ""
        else:
            piece += next(characters) if character == "\\" else character
    return Literal((*pieces, piece), at, quoted=True)


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer="basic", start="expression", transformer=_Tree())


def _check_size(expression: str, tokens: Iterator[Token]) -> None:
    open_at: list[int] = []
    terms, values = 0, 0
    for token in tokens:
        at = int(token.start_pos or 0)
        if token.type == "LPAR":
            open_at.append(at)
            if len(open_at) > MAX_FILTER_DEPTH:
                raise refusal(
                    expression, at, f"more than {MAX_FILTER_DEPTH} parentheses inside each other; write it flatter"
                )
        elif token.type == "RPAR":
            if not open_at:
                raise refusal(expression, at, "this parenthesis closes nothing; remove it or open one before")
            open_at.pop()
        elif token.type in ("COMPARATOR", "IN"):
            terms += 1
        elif token.type == "COMMA":
            values += 1
        if terms + values // 10 > MAX_FILTER_TERMS:
            raise refusal(
                expression,
                at,
                f"more than {MAX_FILTER_TERMS} conditions (ten values after IN count as one); ask for less at once",
            )
    if open_at:
        raise refusal(expression, open_at[-1], "this parenthesis is never closed; add a )")


def _explain(expression: str, err: UnexpectedInput) -> InvalidArgumentError:
    """The error message for what the parser did not expect."""
    at = err.pos_in_stream or 0
    if isinstance(err, UnexpectedCharacters):
        character = expression[at : at + 1]
        if character in "\"'":
            return refusal(expression, at, "this quote is never closed; close it, or write \\ before a quote in a text")
        return refusal(expression, at, f"{character!r} stands alone; write != for unequal, or put the value in quotes")
    token = getattr(err, "token", None)
    if not isinstance(err, UnexpectedToken) or token is None:
        return refusal(expression, at, "the filter is not understood; write column = value")
    ended = token.type == "$END"
    at, word = (len(expression), "the end") if ended else (int(token.start_pos or 0), repr(str(token))[:60])
    accepted = set(err.accepts or err.expected)
    if "COMPARATOR" in accepted:
        # The word before was read as a column, which it seldom is: show that word.
        before = expression[:at].rstrip()
        column_at = max(before.rfind(gap) for gap in (" ", "\t", "\n", "(", ")")) + 1
        column = before[column_at:]
        if column.upper() in _KEYWORDS:
            return refusal(expression, column_at, f"{column!r} is read as a column; write {column.upper()} in capitals")
        return refusal(
            expression,
            column_at,
            f"{column!r:.60} is read as a column, and =, !=, <, <=, >, >=, : or IN must follow it, but {word} does; "
            "put a value of several words in quotes",
        )
    if ended:
        return refusal(expression, at, "the filter ends too early; write column = value")
    if "LPAR" in accepted and "WORD" not in accepted:
        return refusal(expression, at, f"expected a list in parentheses after IN, received {word}; write IN (a, b)")
    if "COMMA" in accepted:
        return refusal(expression, at, f"expected a comma or ) in the list, received {word}; write IN (a, b)")
    if "TIME" in accepted:
        return refusal(expression, at, f"expected a value, received {word}; put it in quotes if it is meant as one")
    if token.type == "COMMA":
        return refusal(
            expression,
            at,
            "this comma is in no list; write a number without it (1299.5), a text with a comma in quotes",
        )
    if token.type == "COMPARATOR" and str(token) == ":":
        return refusal(expression, at, "':' comes after a value; put a value with a colon in quotes")
    return refusal(expression, at, f"expected a condition, received {word}; write column = value")
