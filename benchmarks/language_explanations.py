"""Explanations: whether every statement rests on evidence, and what the checker makes of true texts and planted lies.

The evidence is computed again from the tables of the dataset, by code of its own: titles, values, histories, numbers of
customers. A likeness of pictures or words is looked up by the search for similar items. Titles, values and numbers in a
text are compared with the tables too.
"""

# Axes: N items

from __future__ import annotations

import csv
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.explanation_texts import LIES, Facts, Writer, lie_about, true_texts
from benchmarks.language_films import FILMS, SHORT_FIT, short_bundle
from benchmarks.options import Options
from benchmarks.report import Report, file_hashes
from mmrec.contract.items import Modality, Statement, StatementKind
from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import Promotion, RecommendRequest
from mmrec.language.attributes import entries_of
from mmrec.language.checker import EvidenceChecker
from mmrec.language.words import stems
from mmrec.recommender import Recommender

K = 40
COLUMNS = ("year", "genres", "director", "actors")
PROMOTED = "Western"
CUSTOMERS = {"stored history": 200, "history of five items, with a promotion": 40, "nothing known": 10}
LIES_PLANTED, TRUE_TEXTS = 1_000, 3_000


class RawFilms(NamedTuple):
    """The tables as they stand in the files.

    Attributes:
        items: Rows of the items table by id.
        history: Item ids of each user's events.
        customers: Users of each item.
    """

    items: Mapping[str, Mapping[str, str]]
    history: Mapping[str, set[str]]
    customers: Mapping[str, set[str]]

    @classmethod
    def read(cls, folder: Path) -> RawFilms:
        history: dict[str, set[str]] = defaultdict(set)
        customers: dict[str, set[str]] = defaultdict(set)
        for row in _rows(folder / "events.tsv"):
            history[row["user_id"]].add(row["item_id"])
            customers[row["item_id"]].add(row["user_id"])
        return cls({row["item_id"]: row for row in _rows(folder / "items.tsv")}, history, customers)


class Told(NamedTuple):
    """A recommendation with its explanation, and the history that it was made for."""

    item_id: str
    text: str
    statements: tuple[Statement, ...]
    history: set[str]
    promoted: bool


def run(options: Options) -> None:
    """Measure, and store two tables in one."""
    folder = options.data / FILMS
    raw = RawFilms.read(folder)
    recommender = Recommender.load(short_bundle(options), device=options.device)
    share = 0.02 if options.quick else 1.0
    told, seconds = _tell(recommender, raw, share)
    verifier = _Verifier(recommender, raw)
    rows, kinds, unfounded = [], Counter[str](), Counter[str]()
    examples: list[str] = []
    for one in told:
        for statement in one.statements:
            kind = statement.kind.value if statement.kind else ""
            kinds[kind] += 1
            wrong = verifier.wrong(one, statement)
            if wrong:
                unfounded[kind] += 1
                examples.append(f"{one.item_id}: {statement.text} ({wrong})")
    for kind in sorted(kinds):
        rows.append((f"statements: {kind}", kinds[kind], unfounded[kind], 1 - unfounded[kind] / kinds[kind]))
    total = sum(kinds.values())
    rows.append(("statements: all", total, sum(unfounded.values()), 1 - sum(unfounded.values()) / total))
    with_text = sum(bool(one.text) for one in told)
    rows.append(("recommendations with a text", len(told), len(told) - with_text, with_text / len(told)))
    rejected: list[str] = []
    missed: list[str] = []
    rows += _checker_rows(told, raw, share, rejected, missed)
    report = Report(
        name="language-explanations",
        conditions=(
            f"MovieLens-100K, {SHORT_FIT}. {len(told):,} recommendations, {K} for each of "
            f"{', '.join(f'{max(1, round(n * share))} customers ({what})' for what, n in CUSTOMERS.items())}; "
            f"{seconds / len(told) * 1000:.1f} ms each with its explanation. Evidence recomputed from the raw tables. "
            "Lies are put into wordings whose true form the checker accepts; the floor rejects a text that holds a "
            "title of two words or more, a value or a number in digits outside the evidence."
        ),
        columns=("measured", "of", "not so", "share"),
        rows=rows,
        data=file_hashes(folder, "items.tsv", "events.tsv"),
        rehearsal=options.quick,
    )
    report.publish()
    # Texts quote titles of the data set, which are not stored with the results.
    for what, texts in (("unfounded", examples), ("true, and rejected", rejected), ("lies missed", missed)):
        for text in texts[:20]:
            print(f"{what}: {text}")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _tell(recommender: Recommender, raw: RawFilms, share: float) -> tuple[list[Told], float]:
    rng = random.Random(0)
    users = sorted(raw.history)
    stored, given, unknown = (max(1, round(n * share)) for n in CUSTOMERS.values())
    requests: list[tuple[RecommendRequest, set[str]]] = [
        (RecommendRequest(user_id=user, k=K, explain_in_words=True), raw.history[user])
        for user in rng.sample(users, stored)
    ]
    for user in rng.sample(users, given):
        few = tuple(rng.sample(sorted(raw.history[user]), 5))
        promotion = Promotion(filter=f'genres:"{PROMOTED}"', min_share=0.1, boost=0.2)
        requests.append((RecommendRequest(few, k=K, promotions=(promotion,), explain_in_words=True), set(few)))
    genres = Counter(genre for row in raw.items.values() for genre in row["genres"].split("|"))
    requests += [
        (RecommendRequest(k=K, filter=f'genres:"{genre}"', explain_in_words=True), set())
        for genre, _ in genres.most_common(unknown)
    ]
    told: list[Told] = []
    began = time.monotonic()
    for request, history in requests:
        (reply,) = recommender.recommend_many([request])
        assert isinstance(reply, Recommendations), reply
        told += [
            Told(one.item_id, one.explanation, one.statements, history, bool(request.promotions)) for one in reply.items
        ]
    return told, time.monotonic() - began


class _Verifier:
    """Recomputes evidence from the raw tables."""

    def __init__(self, recommender: Recommender, raw: RawFilms) -> None:
        self._recommender, self._raw = recommender, raw
        self._alike: dict[tuple[str, Modality], set[str]] = {}
        self._popular_from = float(np.quantile([len(users) for users in raw.customers.values()], 0.8))

    def wrong(self, told: Told, statement: Statement) -> str:
        """What a statement claims without evidence; empty: nothing."""
        if not set(statement.item_ids) <= told.history - {told.item_id}:
            return "it names an item that is not in the history"
        return self._wrong_claim(told, statement) or self._wrong_text(statement)

    def _wrong_claim(self, told: Told, statement: Statement) -> str:
        raw = self._raw
        chose = raw.customers.get(told.item_id, set())
        match statement.kind:
            case StatementKind.HISTORY:
                return "" if statement.item_ids and statement.share > 0 else "no part of the score"
            case StatementKind.TOGETHER:
                both = len(chose & raw.customers[statement.item_ids[0]])
                return "" if both == statement.count else f"{both} customers"
            case StatementKind.ATTRIBUTE:
                for item_id in (told.item_id, *statement.item_ids):
                    if statement.value not in raw.items[item_id][statement.column].split("|"):
                        return f"{item_id} has no such value"
                return "" if statement.item_ids else "no item of the history has it"
            case StatementKind.PICTURE | StatementKind.WORDS:
                modality = Modality.PICTURE if statement.kind is StatementKind.PICTURE else Modality.WORDS
                alike = told.item_id in self._nearest(statement.item_ids[0], modality)
                return "" if alike else "it is not among the 5% that are most alike"
            case StatementKind.POPULARITY:
                if len(chose) != statement.count:
                    return f"{len(chose)} customers"
                said = "popular" in statement.text
                return "" if said == (len(chose) > self._popular_from) else "it is not that popular"
            case StatementKind.NEW_ITEM:
                return "somebody chose it" if chose else ""
            case StatementKind.PROMOTION:
                fits = told.promoted and PROMOTED in raw.items[told.item_id]["genres"].split("|")
                return "" if fits else "it is not promoted"
        return "it is of no kind"

    def _nearest(self, item_id: str, modality: Modality) -> set[str]:
        key = item_id, modality
        if key not in self._alike:
            most = -(-len(self._raw.items) // 20)
            self._alike[key] = set(self._recommender.similar(item_id, k=most, modality=modality).item_ids)
        return self._alike[key]

    def _wrong_text(self, statement: Statement) -> str:
        titles = [self._raw.items[item_id]["title"] or item_id for item_id in statement.item_ids]
        text, named = statement.text, 0
        for title in titles:
            if f'"{title}"' in text:
                text, named = text.replace(f'"{title}"', "", 1), named + 1
        text = text.replace(f'"{statement.value}"', "", 1) if statement.value else text
        if '"' in text:
            return "it quotes something else"
        numbers = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)}
        more = len(titles) - named
        allowed = {number for number in (statement.count, more) if number}
        if numbers != allowed:
            return f"it names the numbers {sorted(numbers)} and not {sorted(allowed)}"
        if statement.column and statement.column not in text:
            return "it does not name the column"
        return ""


# --- the checker ------------------------------------------------------------------------------------------------------


def _checker_rows(
    told: Sequence[Told], raw: RawFilms, share: float, rejected: list[str], missed: list[str]
) -> list[tuple[str, int, int, float]]:
    """Rows of the checker; true texts that it rejects and lies that it misses are added to the two lists."""
    title_of = {item_id: row["title"] or item_id for item_id, row in raw.items.items()}
    values = {
        column: sorted({value for row in raw.items.values() for value in entries_of(row[column], "list")})
        for column in COLUMNS
    }
    facts = Facts(sorted(set(title_of.values())), values, title_of)
    names = [*facts.titles, *(value for column in values.values() for value in column)]
    checker = EvidenceChecker(lambda item_id: title_of[item_id], names, COLUMNS)
    floor = _Floor(facts)
    rng = random.Random(1)
    pairs = [(one, statement) for one in told for statement in one.statements]
    rng.shuffle(pairs)

    plain = pairs[: round(TRUE_TEXTS * share)]
    refused = sum(checker.check(statement.text, [statement]) is not None for _, statement in plain)
    rows = [("plain sentences accepted", len(plain), refused, 1 - refused / len(plain))]
    for later in (False, True):
        texts: list[tuple[str, Statement]] = []
        for _, statement in pairs:
            wordings = true_texts(statement, facts, rng, later=later)
            texts += [(text, statement) for text in rng.sample(wordings, min(3, len(wordings)))]
            if len(texts) >= TRUE_TEXTS * share:
                break
        found = [(text, checker.check(text, [statement])) for text, statement in texts]
        wrong = [f"{text} ({why.found}: {why.reason})" for text, why in found if why is not None]
        rejected += wrong[:100]
        name = "true wordings accepted, written " + ("later" if later else "before the last change of the word list")
        rows.append((name, len(texts), len(wrong), 1 - len(wrong) / len(texts)))
        refused = sum(floor.rejects(text, statement) for text, statement in texts)
        rows.append(("  by the floor", len(texts), refused, 1 - refused / len(texts)))

    caught, by_floor, planted = Counter[str](), Counter[str](), Counter[str]()
    wanted = -(-round(LIES_PLANTED * share) // len(LIES))
    for kind in LIES:
        for one, statement in pairs:
            if planted[kind] == wanted:
                break
            others = [other for other in one.statements if other is not statement]
            writer = Writer(statement, facts, rng, others)
            text = lie_about(kind, writer, lambda true, about: checker.check(true, [about]) is None)
            if text and not _true_after_all(text, statement, raw):
                planted[kind] += 1
                if checker.check(text, [statement]) is None:
                    missed.append(f"{kind}: {text} (of: {statement.text})")
                else:
                    caught[kind] += 1
                by_floor[kind] += floor.rejects(text, statement)
    for kind in LIES:
        rows.append((f"lies caught: {kind}", planted[kind], planted[kind] - caught[kind], caught[kind] / planted[kind]))
    total = planted.total()
    rows.append(("lies caught: all", total, total - caught.total(), caught.total() / total))
    rows.append(("  by the floor", total, total - by_floor.total(), by_floor.total() / total))
    return rows


def _true_after_all(text: str, statement: Statement, raw: RawFilms) -> bool:
    """Whether a planted title is one of the evidence's own, written alike."""
    own = {stems(raw.items[item_id]["title"]) for item_id in statement.item_ids}
    return stems(text) in own


class _Floor:
    """Rejects what looks like a title, a value or a number that the evidence does not have."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        values = {stems(value) for column in facts.values.values() for value in column}
        self._names = {phrase for phrase in map(stems, facts.titles) if len(phrase) > 1} | values
        self._longest = max(map(len, self._names))

    def rejects(self, text: str, statement: Statement) -> bool:
        own = {stems(self._facts.title_of[item_id]) for item_id in statement.item_ids} | {stems(statement.value)}
        words, place = stems(text), 0
        while place < len(words):
            size = next(
                (
                    n
                    for n in range(min(self._longest, len(words) - place), 0, -1)
                    if words[place : place + n] in self._names or words[place : place + n] in own
                ),
                0,
            )
            if size and words[place : place + size] not in own:
                return True
            digits = words[place].replace(",", "")
            if not size and digits.isdigit() and int(digits) not in (statement.count, len(statement.item_ids)):
                return True
            place += max(size, 1)
        return False
