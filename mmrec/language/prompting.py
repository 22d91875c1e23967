"""Ranking without training: a language model reads a history, and how much likelier it makes each title.

The score of a candidate is log p(title | prompt) - log p(title | no history): pointwise mutual information, without
which a model prefers short and common titles. A history stands in the prompt in words, or with each item as one token,
the mean of the embeddings of its title's words, which needs no training either.
"""

# Axes: T words of a title, H width of the word embeddings

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from mmrec.language.language_model import LanguageModel
from mmrec.language.segments import Items, Segment
from mmrec.runtime.limits import check_choice, check_numbers

HistoryForm = Literal["words", "tokens"]
HISTORY_FORMS = ("words", "tokens")


@dataclass(frozen=True, slots=True)
class PromptConfig:
    """How a history is put into a prompt.

    Attributes:
        begin: Before the titles of the history.
        next: Before the title that comes next.
        nothing: Prompt of a customer without a history, against which titles are compared.
        last: Most titles of a history that are read, the last ones.
        examples: Other customers' histories with the title that came next, one line each, put in front (few-shot).
        candidates_at_once: Candidates in one pass; bounds memory.
        history: ``words``: titles; ``tokens``: one token for each item.
    """

    begin: str = "A customer chose, in this order: "
    next: str = ". The customer's next choice was:"
    nothing: str = "A customer's choice was:"
    last: int = 10
    examples: tuple[tuple[tuple[str, ...], str], ...] = ()
    candidates_at_once: int = 16
    history: HistoryForm = "words"

    def __post_init__(self) -> None:
        check_numbers(self, "last", "candidates_at_once", low=1)
        check_choice("history", self.history, HISTORY_FORMS)

    def prompt(self, titles: Sequence[str]) -> str:
        """The words that a title follows, with the history in words."""
        shown = [f"{self._story(history)} {title}\n" for history, title in self.examples]
        return "".join(shown) + self._story(titles)

    def _story(self, titles: Sequence[str]) -> str:
        return f"{self.begin}{'; '.join(titles[-self.last :])}{self.next}"


def title_scores(
    model: LanguageModel, history: Sequence[str], candidates: Sequence[str], config: PromptConfig | None = None
) -> list[float]:
    """How much likelier the history makes each title, in nats.

    Args:
        model: Any language model; one that was not tuned to instructions will do.
        history: Titles, oldest first; empty: every score is 0.
        candidates: Titles to rank, one or more; higher scores come first.
        config: The words around the titles.

    Raises:
        InvalidArgumentError: the prompt and a title are longer than the model's positions.
    """
    config = config or PromptConfig()
    if not history:
        return [0.0] * len(candidates)
    given = [model.words(config.prompt(history))] if config.history == "words" else _by_tokens(model, history, config)
    nothing = [model.words(config.nothing)]
    scores: list[float] = []
    for begin in range(0, len(candidates), config.candidates_at_once):
        titles = [model.words(f" {title}") for title in candidates[begin : begin + config.candidates_at_once]]
        with_history, without = (model.log_probs([prompt], titles) for prompt in (given, nothing))
        scores += [one - other for one, other in zip(with_history, without, strict=True)]
    return scores


def _by_tokens(model: LanguageModel, history: Sequence[str], config: PromptConfig) -> list[Segment]:
    """The prompt with one token for each item of a history; titles that come next stay words."""
    sequence: list[Segment] = []
    for titles, following in (
        *((titles, f"{config.next} {title}\n") for titles, title in config.examples),
        (history, config.next),
    ):
        tokens_MH = torch.stack([_mean_word(model, title) for title in titles[-config.last :]])
        sequence += [model.words(config.begin), Items(tokens_MH), model.words(following)]
    return sequence


@torch.inference_mode()
def _mean_word(model: LanguageModel, title: str) -> torch.Tensor:
    """Shape: (H,)."""
    embeddings = model.model.get_input_embeddings()
    ids_T = torch.tensor(model.words(title).ids, device=embeddings.weight.device)
    mean_H: torch.Tensor = embeddings(ids_T).mean(0)
    return mean_H
