"""Ranking without training: a language model reads a history in words, and how much likelier it makes each title.

The score of a candidate is log p(title | prompt) - log p(title | no history): pointwise mutual information, without
which a model prefers short and common titles. For small lists of candidates: each costs a pass over the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmrec.language.language_model import LanguageModel
from mmrec.runtime.limits import check_numbers


@dataclass(frozen=True, slots=True)
class PromptConfig:
    """How a history is put into words.

    Attributes:
        begin: Before the titles of the history.
        next: Before the title that comes next.
        nothing: Prompt of a customer without a history, against which titles are compared.
        last: Most titles of a history that are read, the last ones.
        examples: Other customers' histories with the title that came next, one line each, put in front (few-shot).
        candidates_at_once: Candidates in one pass; bounds memory.
    """

    begin: str = "A customer chose, in this order: "
    next: str = ". The customer's next choice was:"
    nothing: str = "A customer's choice was:"
    last: int = 10
    examples: tuple[tuple[tuple[str, ...], str], ...] = ()
    candidates_at_once: int = 16

    def __post_init__(self) -> None:
        check_numbers(self, "last", "candidates_at_once", low=1)

    def prompt(self, titles: Sequence[str]) -> str:
        """The words that a title follows."""
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
    given, nothing = (model.words(prompt) for prompt in (config.prompt(history), config.nothing))
    scores: list[float] = []
    for begin in range(0, len(candidates), config.candidates_at_once):
        titles = [model.words(f" {title}") for title in candidates[begin : begin + config.candidates_at_once]]
        with_history, without = (model.log_probs([[prompt]] * len(titles), titles) for prompt in (given, nothing))
        scores += [one - other for one, other in zip(with_history, without, strict=True)]
    return scores
