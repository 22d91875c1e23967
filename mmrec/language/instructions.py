"""Instructions: examples of tasks, made of a dataset's events by templates, for training and for evaluation.

An example is what a language model reads and what it is to write, each a sequence of words and item tokens. Training
examples are made of training events alone; validation and test examples ask for the events that the split holds out,
once by a seen and once by an unseen template. `leaks` finds training examples that hold a held-out event. Unit of work:
one dataset. Knows nothing about files and models.
"""

# Axes: U users

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.items import Statement, StatementKind
from mmrec.data.interactions import Interactions
from mmrec.data.splits import LeaveOneOut, Split
from mmrec.generator.sentence_bank import SentenceBank
from mmrec.language.instruction_templates import Task, Template
from mmrec.language.sentences import plain_sentence, shown_column, shown_title
from mmrec.language.shared_values import SharedValues
from mmrec.language.wishes import make_wishes
from mmrec.runtime.limits import check_numbers

Rows = npt.NDArray[np.int32]
_NOTHING = np.zeros(0, np.int32)
_FEW = 10_000
_MOST_WISHES = 20_000
_HISTORY = frozenset(["history", "history_words"])


@dataclass(frozen=True, slots=True)
class InstructionConfig:
    """How many examples are made, and how long they are.

    Attributes:
        per_user: Training examples of a task of weight 1, per user with training events.
        max_history: Most items of a history, the last ones.
        candidates: Candidates of a ranking, the right one included.
        seed: Of all random choices.
    """

    per_user: float = 1.0
    max_history: int = 20
    candidates: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, "per_user", over=0)
        check_numbers(self, "max_history", low=1)
        check_numbers(self, "candidates", low=2)
        check_numbers(self, "seed", low=0, below=2**31)


class Part(NamedTuple):
    """Words, the token of one item, or that of a customer; the others are empty.

    A customer's token stands for the items that the customer chose, without their order.
    """

    words: str = ""
    item_id: str = ""
    customer: tuple[str, ...] = ()

    @property
    def is_token(self) -> bool:
        """Whether it is no words."""
        return bool(self.item_id or self.customer)


@dataclass(frozen=True, slots=True)
class Example:
    """One instruction with its answer.

    Attributes:
        split: ``train``, ``validation`` or ``test``.
        task: Name of the task.
        template: Id of the template.
        seen: Whether training uses this template.
        user_id: The customer.
        item_id: The item that it is about: the right answer, or what is rated or explained.
        history: Items that the customer took before, as far as the task reads them.
        input: What a model reads.
        output: What it is to write.
        candidates: Items of which one is right; empty where any item of the catalogue may be.
    """

    split: str
    task: str
    template: str
    seen: bool
    user_id: str
    item_id: str
    history: tuple[str, ...]
    input: tuple[Part, ...]
    output: tuple[Part, ...]
    candidates: tuple[str, ...] = ()


class _Moment(NamedTuple):
    """A customer, what came before, and an item that follows."""

    user: int
    history: Rows
    target: int


class InstructionBuilder:
    """Makes the examples of one dataset.

    Args:
        catalogue: The items.
        interactions: All events, for the ratings of held-out ones.
        split: The events of training, and the questions.
        config: How many, and how long.
        users: Words about users by id, as in ``age 24, occupation writer``.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        interactions: Interactions,
        split: LeaveOneOut,
        config: InstructionConfig,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._interactions = interactions
        self._split = split
        self._config = config
        self._users = users or {}
        self._shared = SharedValues(catalogue)

    @cached_property
    def _wishes(self) -> SentenceBank:
        wishes = make_wishes(self._catalogue, _MOST_WISHES, seed=self._config.seed)
        return wishes.bank(np.empty((len(wishes.sentences), 0), np.float32))

    def train(self, tasks: Sequence[Task]) -> Iterator[Example]:
        """Training examples, task by task; by seen templates alone."""
        rng = np.random.default_rng(self._config.seed)
        train = self._split.train
        for task in tasks:
            templates = [template for template in task.templates if template.seen]
            for user in range(train.users):
                history, first = train.history(user), 0 if task.kind in ("straightforward", "wish") else 1
                count = _whole(task.weight * self._config.per_user, rng) if len(history) > first else 0
                for _ in range(count):
                    place = int(rng.integers(first, len(history)))
                    moment = _Moment(user, history[:place], int(history[place]))
                    template = templates[int(rng.integers(len(templates)))]
                    example = self._example("train", task, template, moment, _ratings(train, user), rng)
                    if example is not None:
                        yield example

    def evaluation(self, tasks: Sequence[Task], name: str) -> Iterator[Example]:
        """Examples of the questions of ``validation`` or ``test``, by one seen and one unseen template of each task."""
        rng = np.random.default_rng(self._config.seed + 1)
        questions: Split = self._split.validation if name == "validation" else self._split.test
        for task in tasks:
            for user, history, target in zip(*questions, strict=True):
                moment = _Moment(int(user), history, int(target))
                ratings = _ratings(self._interactions, int(user))
                for seen in (True, False):
                    templates = [template for template in task.templates if template.seen is seen]
                    if templates:
                        template = templates[int(rng.integers(len(templates)))]
                        example = self._example(name, task, template, moment, ratings, rng)
                        if example is not None:
                            yield example

    def _example(
        self,
        split: str,
        task: Task,
        template: Template,
        moment: _Moment,
        ratings: Mapping[int, float],
        rng: np.random.Generator,
    ) -> Example | None:
        """One example; None where the moment gives nothing for the task."""
        asked = template.input[1::2]
        # A wish may come without a history, where its template does.
        without = task.kind == "straightforward" or (task.kind == "wish" and not _HISTORY.intersection(asked))
        read = _NOTHING if without else moment.history[-self._config.max_history :]
        if not without and not len(read):
            return None
        slots = self._slots(task.kind, moment, read, ratings, rng)
        if slots is None or ("customer" in asked and not slots["customer"]):
            return None
        return Example(
            split,
            task.name,
            template.id,
            template.seen,
            self._interactions.user_ids[moment.user],
            self._catalogue.item_ids[moment.target],
            tuple(self._catalogue.item_ids[row] for row in read.tolist()),
            filled(template.input, slots),
            filled(template.output, slots),
            tuple(part.item_id for part in slots.get("candidates", ())),
        )

    def _slots(
        self, kind: str, moment: _Moment, history: Rows, ratings: Mapping[int, float], rng: np.random.Generator
    ) -> dict[str, tuple[Part, ...]] | None:
        user_id = self._interactions.user_ids[moment.user]
        slots = {
            "user": (Part(self._users.get(user_id) or f"customer {user_id}"),),
            "user_id": (Part(user_id),),
            "customer": self._customer(moment.history),
            "history": self._tokens(history),
            "history_words": (Part("; ".join(map(self._title, history))),),
            "item": self._tokens([moment.target]),
            "item_words": (Part(self._title(moment.target)),),
        }
        if kind == "ranking":
            candidates = self._candidates(moment, rng)
            slots["candidates"] = self._tokens(candidates)
            slots["candidates_words"] = (Part("; ".join(map(self._title, candidates))),)
        if kind == "rating":
            rating = ratings.get(moment.target)
            if rating is None:
                return None
            slots["rating"] = (Part(f"{rating:g}"),)
        if kind == "wish":
            number = int(self._wishes.draw(np.array([moment.target]), rng)[0])
            if number < 0:
                return None
            slots["wish"] = (Part(self._wishes.sentences[number]),)
        if kind == "explanation":
            found = self._explanation(moment, history)
            if found is None:
                return None
            slots["attribute"], slots["explanation"] = (Part(found[0]),), (Part(found[1]),)
        return slots

    def _tokens(self, rows: Sequence[int] | Rows) -> tuple[Part, ...]:
        return tuple(Part(item_id=self._catalogue.item_ids[int(row)]) for row in rows)

    def _customer(self, history: Rows) -> tuple[Part, ...]:
        rows = history[-self._config.max_history :].tolist()
        return (Part(customer=tuple(sorted(self._catalogue.item_ids[row] for row in rows))),) if rows else ()

    def _title(self, row: int) -> str:
        return shown_title(self._catalogue.item_ids[row], self._catalogue.titles[row])

    def _candidates(self, moment: _Moment, rng: np.random.Generator) -> list[int]:
        """The target among items that are not in the history, in random order."""
        items = len(self._catalogue)
        known = {*moment.history.tolist(), moment.target}
        # Some draws of a large catalogue are as good as an order of all of it.
        drawn = rng.permutation(items) if items <= _FEW else rng.integers(items, size=4 * self._config.candidates)
        chosen = [row for row in dict.fromkeys(drawn.tolist()) if row not in known][: self._config.candidates - 1]
        return [int(row) for row in rng.permutation([moment.target, *chosen])]

    def _explanation(self, moment: _Moment, history: Rows) -> tuple[str, str] | None:
        """A column, and the sentence about the rarest value that the item shares with the history."""
        shared = self._shared.of(moment.target, history[::-1].tolist())
        if not shared:
            return None
        best = max(shared, key=lambda one: (one.rarity * len(one.rows), one.column))
        item_ids = tuple(self._catalogue.item_ids[row] for row in best.rows)
        statement = Statement(StatementKind.ATTRIBUTE, "", item_ids, best.column, best.value)
        titles = {self._catalogue.item_ids[row]: self._catalogue.titles[row] for row in best.rows}
        return shown_column(best.column), plain_sentence(statement, titles.__getitem__, in_list=best.in_list)


def leaks(examples: Iterator[Example] | Sequence[Example], split: LeaveOneOut, catalogue: Catalogue) -> list[Example]:
    """Training examples that tell a held-out event: its item as the target or as chosen before, for its user.

    An item that the user took in training too is no leak, nor is a candidate of a ranking that was drawn by chance.

    Args:
        examples: Any examples; those of other splits are skipped.
        split: What is held out.
        catalogue: The items.
    """
    held: dict[str, set[str]] = {}
    for questions in (split.validation, split.test):
        for user, target in zip(questions.users_U.tolist(), questions.targets_U.tolist(), strict=True):
            held.setdefault(split.train.user_ids[user], set()).add(catalogue.item_ids[target])
    for user_id, item_ids in held.items():
        user = split.train.user_index(user_id)
        taken = split.train.history(user).tolist() if user is not None else []
        item_ids.difference_update(catalogue.item_ids[row] for row in taken)
    return [
        example
        for example in examples
        if example.split == "train" and held.get(example.user_id, set()) & _told(example)
    ]


def _told(example: Example) -> set[str]:
    """Items that an example says its customer chose."""
    return {example.item_id, *example.history, *(item for part in example.input for item in part.customer)}


def filled(parts: tuple[str, ...], slots: Mapping[str, tuple[Part, ...]]) -> tuple[Part, ...]:
    """Words and tokens of a template, neighbouring words joined, commas between item tokens left to the reader.

    Args:
        parts: Words and names of slots in turns, as in `Template.input`.
        slots: What fills them.
    """
    found: list[Part] = []
    for place, part in enumerate(parts):
        for one in slots[part] if place % 2 else (Part(part),):
            if one.is_token or not found or found[-1].is_token:
                if one.words or one.is_token:
                    found.append(one)
            else:
                found[-1] = Part(found[-1].words + one.words)
    return tuple(found)


def _ratings(interactions: Interactions, user: int) -> dict[int, float]:
    """A user's last rating of each item, by row."""
    if interactions.ratings_E is None:
        return {}
    own = slice(int(interactions.offsets_U[user]), int(interactions.offsets_U[user + 1]))
    pairs: Any = zip(interactions.items_E[own].tolist(), interactions.ratings_E[own].tolist(), strict=True)
    return {row: rating for row, rating in pairs if not np.isnan(rating)}


def _whole(count: float, rng: np.random.Generator) -> int:
    """A whole number whose mean is `count`."""
    return int(count) + int(rng.random() < count - int(count))
