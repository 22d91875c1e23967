"""Wording by a real language model: how many of its sentences the checker accepts, and how long they take.

SmolLM2-135M-Instruct, from the package that `mmrec models` knows, words statements about real films and suggestions of
them. With letters in place of titles and values, as it is served, and with the names themselves.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.language_explanations import COLUMNS, RawFilms
from benchmarks.language_films import FILMS
from benchmarks.options import Options
from benchmarks.report import Report, file_hashes
from mmrec.contract.items import Statement, StatementKind
from mmrec.generator.pretrained import find_checkpoint
from mmrec.language.attributes import entries_of
from mmrec.language.checker import EvidenceChecker, SuggestedItem
from mmrec.language.language_model import LanguageModel
from mmrec.language.rewording import Draft, draft_of, draft_of_suggestion, worded
from mmrec.language.sentence_writer import LanguageModelWriter, WriterConfig
from mmrec.language.sentences import plain_sentence
from mmrec.runtime.device import resolve_device, resolve_dtype

MODEL = "smollm2-135m"
EACH, SUGGESTIONS, ALONE = 6, 12, 12
_LISTS = ("genres", "actors")


def run(options: Options) -> None:
    """Measure, and store the table."""
    folder = options.data / FILMS
    raw = RawFilms.read(folder)
    device = resolve_device(options.device)
    dtype = resolve_dtype("auto", device)
    model = LanguageModel.load(find_checkpoint(MODEL), str(device), dtype)
    titles = {item_id: row["title"] or item_id for item_id, row in raw.items.items()}
    values = {entry for row in raw.items.values() for column in COLUMNS for entry in entries_of(row[column], "list")}
    checker = EvidenceChecker(titles.__getitem__, [*titles.values(), *values], COLUMNS)
    examples = _examples(raw, random.Random(0), 1 if options.quick else EACH, 2 if options.quick else SUGGESTIONS)
    hidden = {kind: [_draft(one, titles) for one in some] for kind, some in examples.items()}
    shown = {kind: [draft._replace(text=_plain(draft), names={}) for draft in some] for kind, some in hidden.items()}
    rows: list[tuple[object, ...]] = []
    texts: list[str] = []
    for name, drafts in (("letters for names", hidden), ("names as they are", shown)):
        total, seconds, distinct = Counter[str](), 0.0, 0
        for kind, some in drafts.items():
            began = time.monotonic()
            found = worded(some, LanguageModelWriter(model), checker)
            seconds += time.monotonic() - began
            distinct += len({draft.text for draft in some})
            counts = _counts(some, found)
            total += counts
            if drafts is hidden:
                rows.append((f"{name}: {kind}", *_cells(counts), None))
            texts += [
                f"{name}, {kind}: {draft.text} -> {text or 'rejected'}" for draft, text in zip(some, found, strict=True)
            ]
        rows.append((f"{name}: all, written 8 at once", *_cells(total), seconds / distinct))
    alone = [some[0] for some in hidden.values()][:ALONE]
    writer = LanguageModelWriter(model, WriterConfig(at_once=1))
    began = time.monotonic()
    found = worded(alone, writer, checker)
    rows.append(
        ("letters for names: one at a time", *_cells(_counts(alone, found)), (time.monotonic() - began) / len(alone))
    )
    Report(
        name="language-wording",
        conditions=(
            f"SmolLM2-135M-Instruct, {dtype}, {device}, {options.threads} threads, greedy, "
            "from a prompt with examples. Statements about films of MovieLens-100K, "
            f"{EACH} of each kind, and {SUGGESTIONS} suggestions with values of columns. Worded: accepted by the "
            "checker, and other words than those of the template. Seconds are those of a sentence of its own; with "
            "letters, alike sentences are written once."
        ),
        columns=("sentences", "of", "worded", "unchanged", "rejected", "share worded", "seconds each"),
        rows=rows,
        data=file_hashes(folder, "items.tsv", "events.tsv"),
        rehearsal=options.quick,
    ).publish()
    # Texts quote titles of the data set, which are not stored with the results.
    print("\n".join(texts))


Example = Statement | SuggestedItem


def _examples(raw: RawFilms, rng: random.Random, each: int, suggestions: int) -> dict[str, list[Example]]:
    """True statements of every kind, and suggestions."""
    popular = sorted(raw.items, key=lambda item_id: -len(raw.customers.get(item_id, ())))[:500]
    found: dict[str, list[Example]] = {}

    def add(
        kind: StatementKind, item_ids: Sequence[str] = (), in_list: bool = False, said: bool = False, **fields: object
    ) -> None:
        statement = Statement(kind, "", tuple(item_ids), **fields)  # type: ignore[arg-type]
        text = plain_sentence(statement, lambda item_id: raw.items[item_id]["title"], in_list=in_list, popular=said)
        found.setdefault(kind.value, []).append(replace(statement, text=text))

    for number in range(each):
        history = rng.sample(popular, 4)
        column = rng.choice([column for column in COLUMNS if raw.items[history[0]][column]])
        value = rng.choice(entries_of(raw.items[history[0]][column], "list"))
        is_list = column in _LISTS
        add(StatementKind.HISTORY, history[: 1 + number % 3])
        both = len(raw.customers[history[0]] & raw.customers[history[1]])
        add(StatementKind.TOGETHER, history[:1], count=max(3, both))
        add(StatementKind.ATTRIBUTE, history[:1], is_list, column=column, value=value)
        add(StatementKind.PICTURE, history[:1])
        add(StatementKind.WORDS, history[:1])
        add(StatementKind.POPULARITY, said=number % 2 == 0, count=len(raw.customers[history[0]]))
        add(StatementKind.WISH, (), is_list, column=column, value=value)
    add(StatementKind.NEW_ITEM)
    for number in range(suggestions):
        item_id = rng.choice(popular)
        row = raw.items[item_id]
        columns = rng.sample([column for column in COLUMNS if row[column]], min(number % 3, 2))
        facts = tuple((column, ", ".join(entries_of(row[column], "list"))[:80]) for column in columns)
        found.setdefault("suggestion", []).append(SuggestedItem(item_id, row["title"], facts))
    return found


def _draft(example: Example, titles: dict[str, str]) -> Draft:
    if isinstance(example, SuggestedItem):
        return draft_of_suggestion(example)
    draft = draft_of(example, titles.__getitem__)
    assert draft is not None, example
    return draft


def _plain(draft: Draft) -> str:
    """The draft's text with its names."""
    text = draft.text
    for letter, name in draft.names.items():
        text = text.replace(f'"{letter}"', f'"{name}"', 1)
    return text


def _counts(drafts: Sequence[Draft], found: Sequence[str]) -> Counter[str]:
    return Counter(
        "rejected" if not text else "unchanged" if text == _plain(draft) else "worded"
        for draft, text in zip(drafts, found, strict=True)
    )


def _cells(counts: Counter[str]) -> tuple[object, ...]:
    total = counts.total()
    return (total, counts["worded"], counts["unchanged"], counts["rejected"], counts["worded"] / total)
