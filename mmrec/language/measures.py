"""Numbers and dates of a sentence as bounds on columns.

A number belongs to the column that its unit, the noun after it, an adjective of the comparison or words near it point
to; where nothing does, to the one in whose range it is plausible. Unit of work: one sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mmrec.language.attributes import Attributes, Measure
from mmrec.language.constraints import StatedConstraint, day_seconds, day_text, number_text
from mmrec.language.numbers import CONVERTED, Amount
from mmrec.language.words import Token, comparatives, phrase_at, phrase_before, stem, vocabulary

_NEAR = 6
"""Tokens before a number in which words are looked for that say what it counts."""
_LEAST_SCORE = 1.0
"""Least agreement of a number with a column."""
CLAUSE_ENDS = frozenset([",", ".", ";", "!", "?", "but"])
NEGATORS = frozenset(vocabulary().words("negators"))


class _Comparison(NamedTuple):
    """How a number is compared.

    Attributes:
        operator: ``<=``, ``>=``, ``=``; ``about`` for near it; empty where nothing says.
        begin: First token of the words that say so.
        end: Token after the last one.
        quantity: What an adjective of the comparison says is counted; empty for none.
    """

    operator: str
    begin: int
    end: int
    quantity: str = ""


class MeasureReader:
    """Reads numbers of sentences about one catalogue.

    Args:
        attributes: The columns of the catalogue.
    """

    def __init__(self, attributes: Attributes) -> None:
        self.measures = attributes.measures
        table = vocabulary()
        self.name_words = frozenset(
            word for measure in self.measures.values() for word in measure.words if word not in table.ordinary
        )
        held = {quantity.name for measure in self.measures.values() for quantity in measure.quantities}
        self.cue_words = frozenset(word for name in held for word in table.quantities[name].words)

    # --- bounds ------------------------------------------------------------------------------------------------------

    def bounds(
        self, tokens: Sequence[Token], taken: set[int], amounts: Sequence[Amount], asked: str = ""
    ) -> list[StatedConstraint]:
        """Constraints from the amounts of a sentence; the tokens that they are read from are added to `taken`.

        Args:
            tokens: The sentence.
            taken: Tokens that are something else already.
            amounts: Its numbers, in order.
            asked: The column that the customer was asked about; empty for none.
        """
        found: list[StatedConstraint] = []
        skip = -1
        for place, amount in enumerate(amounts):
            if place == skip:
                continue
            following = amounts[place + 1] if place + 1 < len(amounts) else None
            if following is not None and self._is_range(tokens, amount, following):
                column = self._column(tokens, following, ">=", asked, begin=amount.begin)
                column = column or self._column(tokens, amount, ">=", asked)
                if column is not None:
                    low = _in_unit_of(amount, following)
                    found += self._bound(tokens, column, low, ">=", amount.begin, following.end)
                    found += self._bound(tokens, column, following, "<=", amount.begin, following.end)
                    self._take(tokens, taken, column, amount.begin, following.end)
                    skip = place + 1
                    continue
            comparison = self._comparison(tokens, amount)
            column = self._column(tokens, amount, comparison.operator, asked, comparison.quantity)
            if column is None:
                continue
            operator = comparison.operator or self._bare(tokens, column, amount)
            end = max(comparison.end, amount.end)
            begin = min(comparison.begin, amount.begin)
            made = self._bound(tokens, column, amount, operator, begin, end)
            if made:
                found += made
                self._take(tokens, taken, column, begin, end)
        return found

    def _is_range(self, tokens: Sequence[Token], low: Amount, high: Amount) -> bool:
        """Whether two amounts are the ends of a range."""
        between = [token.text for token in tokens[low.end : high.begin]]
        if low.measure and high.measure and low.measure != high.measure:
            return False
        joined = between in (["to"], ["-"], ["–"], ["until"], ["till"], ["up", "to"])
        before = tokens[low.begin - 1].text if low.begin else ""
        before = tokens[low.begin - 2].text if before in ("about", "the", "around") and low.begin > 1 else before
        spanned = between in (["and"], ["and", "about"]) and before == "between"
        return (joined or spanned) and (_in_unit_of(low, high).value < high.value or high.value < 100 < low.value)

    def _comparison(self, tokens: Sequence[Token], amount: Amount) -> _Comparison:
        table = vocabulary()
        begin = amount.begin
        for name, operator in (("upper_after", "<="), ("lower_after", ">=")):
            length = phrase_at(tokens, amount.end, table.words(name))
            start = amount.end
            if (
                not length
                and start < len(tokens)
                and stem(tokens[start].text) in self.name_words | {"night", "per", "a", "of"}
            ):
                for extra in (1, 2, 3):  # "three bedrooms or more", "200 a night max", "five years of warranty or more"
                    length = length or phrase_at(tokens, start + extra, table.words(name))
                    if length:
                        start += extra
                        break
            if length:
                if start < len(tokens) and tokens[start].text == "at" and _is_negated(tokens, begin):
                    operator = {"<=": ">=", ">=": "<="}[operator]
                return _Comparison(operator, begin, start + length)
        if amount.end < len(tokens) and tokens[amount.end].text == "+":
            return _Comparison(">=", begin, amount.end + 1)
        at = begin
        about = False
        while at > 0 and at > begin - 4:
            if tokens[at - 1].text in table.words("about"):
                about = True
            found = self._compared(tokens, at)
            if found is not None:
                return found
            if tokens[at - 1].text not in table.words("fillers"):
                break
            at -= 1
        return _Comparison("about" if about else "", begin, amount.end)

    def _compared(self, tokens: Sequence[Token], at: int) -> _Comparison | None:
        """A comparison whose words end before a place."""
        table = vocabulary()
        # "longer than", "more expensive than": the adjective says what is counted.
        if tokens[at - 1].text == "than" and at >= 2:
            word = tokens[at - 2].text
            known = comparatives().get(word)
            begin = at - 2
            sign, quantity = 0, ""
            if known is not None:
                quantity, sign = known
                if begin and tokens[begin - 1].text in ("more", "less"):
                    begin -= 1
                    sign = -sign if tokens[begin].text == "less" else sign
            if sign:
                if word in ("better", "higher", "worse", "lower"):
                    quantity = ""
                negated = _is_negated(tokens, begin)
                operator = "<=" if (sign > 0) == negated else ">="
                return _Comparison(operator, begin, at, quantity)
        for name, operator in (("upper", "<="), ("lower", ">="), ("equal", "=")):
            length = phrase_before(tokens, at, table.words(name))
            if not length:
                continue
            begin = at - length
            words = " ".join(token.text for token in tokens[begin:at])
            if words in ("from", "just"):
                return None if words == "just" else _Comparison(operator, begin, at)
            # "not under 20": what a phrase negates itself, such as "no more than", is longer and found first.
            if operator != "=" and words.split()[0] not in ("no", "not") and _is_negated(tokens, begin):
                operator = {"<=": ">=", ">=": "<="}[operator]
            return _Comparison(operator, begin, at)
        return None

    def _bare(self, tokens: Sequence[Token], column: Measure, amount: Amount) -> str:
        """How a number is meant that nothing compares."""
        if column.kind == "date" or column.years:
            return "="
        if column.quantities:
            bare = column.quantities[0].bare
            if column.quantities[0].name == "duration":
                before = {token.text for token in tokens[max(0, amount.begin - 4) : amount.begin]}
                return "<=" if before & {"have", "got", "in", "only"} else "about"
            return {"at most": "<=", "at least": ">=", "equal": "="}[bare]
        return "="

    def _column(
        self,
        tokens: Sequence[Token],
        amount: Amount,
        operator: str,
        asked: str,
        quantity: str = "",
        begin: int | None = None,
    ) -> Measure | None:
        """The column that a number is about; None where no column agrees with it."""
        best: tuple[float, Measure] | None = None
        for measure in self.measures.values():
            score = self._agreement(tokens, amount, operator, quantity, measure, begin)
            score += 1.2 if measure.name == asked and (score or not amount.unit) else 0.0
            if score >= _LEAST_SCORE and (best is None or score > best[0] + 1e-9):
                best = score, measure
        return None if best is None else best[1]

    def _agreement(
        self,
        tokens: Sequence[Token],
        amount: Amount,
        operator: str,
        quantity: str,
        measure: Measure,
        begin: int | None,
    ) -> float:
        dated = measure.kind == "date" or measure.years
        value = amount.value
        if dated:
            if not (1500 <= value <= 2100) or amount.unit:
                return 0.0
            cued = self._near(tokens, amount, begin, measure)
            early = 0.3 if {"release", "released", "published", "publication", "year"} & measure.words else 0.0
            return 1.5 + cued + early + (0.5 if amount.until or amount.month else 0.0)
        if amount.until or amount.month:
            return 0.0
        names = [held.name for held in measure.quantities]
        score = 0.0
        after = self._noun_after(tokens, amount)
        if after & measure.words:
            score += 3.0
        if amount.unit:
            fits = self._unit_fits(amount, measure)
            if not fits and not after & measure.words:
                return 0.0
            score += 2.5 if fits else 0.0
        if quantity:
            if quantity not in names and not (after & measure.words):
                return 0.0
            score += 2.0
        score += self._near(tokens, amount, begin, measure)
        if (
            value
            and 1500 <= value <= 2100
            and score < 2
            and any(m.kind == "date" or m.years for m in self.measures.values())
        ):
            return 0.0
        converted = self._converted(amount, measure)
        spread = measure.high - measure.low
        inside = measure.low - 0.05 * spread <= converted <= measure.high + 0.05 * spread
        if score >= 1.0:
            score += 0.2 * inside
        elif inside and not amount.unit and operator:
            # Nothing points to a column: money is what people say without a word for it, and else it is the only column
            # that customers are asked about and whose values are like the number.
            alone = self._only_plausible(converted) is measure
            score += 1.1 if "price" in names else 1.05 if alone else 0.0
        if "capacity" in names and "max" in measure.words and operator in (">=", ""):
            score += 0.3
        return score

    def _only_plausible(self, value: float) -> Measure | None:
        """The one column of a quantity that customers are asked about in whose range a number lies."""
        asked = vocabulary().table["questions"]
        found = [
            measure
            for measure in self.measures.values()
            if measure.low <= value <= measure.high and any(held.name in asked for held in measure.quantities)
        ]
        return found[0] if len(found) == 1 else None

    def _near(self, tokens: Sequence[Token], amount: Amount, begin: int | None, measure: Measure) -> float:
        """Agreement of the words of the same clause before a number with a column, the nearest counting most."""
        score = 0.0
        start = amount.begin if begin is None else begin
        cues = {word for quantity in measure.quantities for word in quantity.words}
        at, distance = start - 1, 0
        while at >= 0 and distance < _NEAR and tokens[at].text not in CLAUSE_ENDS:
            word = tokens[at].text
            if stem(word) in measure.words and word not in ("per", "of"):
                score = max(score, 1.8 - 0.1 * distance)
            elif word in cues:
                score = max(score, 1.5 - 0.1 * distance)
            if word[0].isdigit():
                break
            at, distance = at - 1, distance + 1
        for distance, token in enumerate(tokens[amount.end : amount.end + 6]):
            if token.text in CLAUSE_ENDS or token.text == "and" or token.text[0].isdigit():
                break
            if stem(token.text) in measure.words or token.text in cues:
                score = max(score, 1.4 - 0.1 * distance)
        return score

    def _noun_after(self, tokens: Sequence[Token], amount: Amount) -> set[str]:
        """Stems of the nouns that a number counts."""
        found: set[str] = set()
        at = amount.end
        if at < len(tokens) and tokens[at].text in ("-", "of", "or"):
            at += 1
        if at < len(tokens) and tokens[at].text in ("more", "guest", "reviews"):
            found.add(stem(tokens[at].text))
        if at < len(tokens):
            found.add(stem(tokens[at].text))
        if amount.unit:
            found.add(stem(amount.unit))
        return found

    def _unit_fits(self, amount: Amount, measure: Measure) -> bool:
        table = vocabulary().table
        if measure.unit in table["units"] and table["units"][measure.unit][0] == amount.measure:
            return True
        if amount.measure == "percent":
            return measure.unit == "percent"
        return any(quantity.name in table["measures"][amount.measure] for quantity in measure.quantities)

    def _converted(self, amount: Amount, measure: Measure) -> float:
        """The number in the column's own unit."""
        units = vocabulary().table["units"]
        same = measure.unit in units and units[measure.unit][0] == amount.measure
        if same and amount.measure in CONVERTED:
            return amount.value / measure.factor
        return amount.value

    def _bound(
        self, tokens: Sequence[Token], measure: Measure, amount: Amount, operator: str, begin: int, end: int
    ) -> list[StatedConstraint]:
        words = words_at(tokens, begin, end)

        def made(operator: str, value: str) -> StatedConstraint:
            return StatedConstraint(measure.name, operator, (value,), words, 0.95)

        if measure.kind == "date" or measure.years:
            return [made(sign, value) for sign, value in self._dates(tokens, measure, amount, operator)]
        value = self._converted(amount, measure)
        if operator == "about":
            return [made(">=", number_text(0.85 * value)), made("<=", number_text(1.15 * value))]
        return [made(operator, number_text(value))]

    def _dates(
        self, tokens: Sequence[Token], measure: Measure, amount: Amount, operator: str
    ) -> Iterable[tuple[str, str]]:
        """Bounds on a column of dates or years."""
        table = vocabulary()
        at = amount.begin
        while at and tokens[at - 1].text in ("the", "about", "around", "early", "late", "mid"):
            at -= 1
        first, last = int(amount.value), int(amount.until or amount.value)
        month = amount.month

        def begin_of(year: int, months: int = 1) -> str:
            return str(year) if measure.years else day_text(day_seconds(year, months))

        after_end = (begin_of(last, month + 1) if month else begin_of(last + 1)) if not measure.years else str(last)
        start = begin_of(first, month or 1)
        negated = False
        for name in ("after_dates", "before_dates", "since_dates"):
            length = phrase_before(tokens, at, table.words(name))
            if not length:
                continue
            negated = _is_negated(tokens, at - length)
            if (name == "after_dates" and not negated) or (name == "before_dates" and negated):
                past = (">", str(last)) if measure.years else (">=", after_end)
                return [(">=", start)] if negated else [past]
            if name == "before_dates" or negated:
                return [("<", after_end if negated and not measure.years else start)]
            if tokens[at - 1].text == "from" and (amount.until or month or not _says_since(tokens, amount)):
                break
            return [(">=", start)]
        if operator in ("<=", ">="):
            if operator == ">=" and tokens[at - 1].text != "from":
                return [(">=", start)]
            if operator == "<=":
                return [("<=", str(last)) if measure.years else ("<", after_end)]
        if measure.years:
            return [(">=", str(first)), ("<=", str(last))] if last > first else [("=", str(first))]
        return [(">=", start), ("<", after_end)]

    def _take(self, tokens: Sequence[Token], taken: set[int], measure: Measure, begin: int, end: int) -> None:
        taken.update(range(begin, end))
        for at in range(end, min(len(tokens), end + 2)):
            if stem(tokens[at].text) in measure.words or tokens[at].text in ("per", "night"):
                taken.add(at)


def _says_since(tokens: Sequence[Token], amount: Amount) -> bool:
    after = [token.text for token in tokens[amount.end : amount.end + 2]]
    return after[:1] in (["on"], ["onwards"], ["or"], ["onward"])


def _is_negated(tokens: Sequence[Token], at: int) -> bool:
    """Whether a negation stands before a place, with only a few words of a verb between."""
    between = vocabulary().words("negators_reach_over")
    for place in range(at - 1, max(-1, at - 5), -1):
        word = tokens[place].text
        if word in NEGATORS and word != "anything":
            return True
        if word not in between:
            return False
    return False


def _in_unit_of(low: Amount, high: Amount) -> Amount:
    """The lower end of a range with the unit of the upper one: ``two to three hours``."""
    if low.unit or not high.unit or high.measure not in CONVERTED:
        return low
    factor = (
        60.0
        if high.measure == "time" and high.value >= 60 * low.value / max(low.value, 1e-9) and low.value < 10
        else 1.0
    )
    return Amount(low.value * factor, high.unit, high.measure, low.begin, low.end)


def words_at(tokens: Sequence[Token], begin: int, end: int) -> str:
    """The words of some tokens as they were written."""
    parts: list[str] = []
    for place in range(begin, min(end, len(tokens))):
        token = tokens[place]
        gap = " " if parts and token.start > tokens[place - 1].end else ""
        parts.append(gap + token.original)
    return "".join(parts)
