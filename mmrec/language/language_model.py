"""A language model over words and items: hidden states, probabilities of words, and text, written token by token.

Works on sequences of `mmrec.language.segments`; any decoder-only or encoder-decoder model of
`mmrec.generator.pretrained` will do. Knows nothing about catalogues.
"""

# Axes: B sequences, T positions, X places asked for, S words written, H hidden width, V words of the vocabulary

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmrec.contract.engine import Stop, never
from mmrec.errors import InvalidArgumentError
from mmrec.generator.pretrained import Checkpoint, find_checkpoint, load_model, load_tokenizer
from mmrec.language.feeding import DecoderOnly, EncoderDecoder, Feeding, Step
from mmrec.language.segments import Embedded, Segment, Words, embed_sequences
from mmrec.runtime.limits import check_numbers

Sequences = Sequence[Sequence[Segment]]


@dataclass(frozen=True, slots=True)
class WritingLimits:
    """When writing ends, and how the next word is chosen.

    Attributes:
        tokens: Most tokens of a text.
        seconds: Most seconds of a text; the token in the making is finished. 0: no limit.
        temperature: 0: always the most probable word; otherwise words are drawn from probabilities sharpened (below 1)
            or flattened (above 1) by it.
        top_p: Words are drawn from the most probable ones that have this share of the probability together.
        seed: Of the draws.
    """

    tokens: int = 128
    seconds: float = 0.0
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, "tokens", low=1)
        check_numbers(self, "seconds", "temperature", low=0)
        check_numbers(self, "top_p", over=0, high=1)
        check_numbers(self, "seed", low=0)


class Beginning(NamedTuple):
    """Words that were read once for many sequences.

    Attributes:
        words: The words.
        step: What the model knows after them.
    """

    words: Words
    step: Step


class LanguageModel:
    """A language model and its tokenizer.

    Args:
        model: A Hugging Face model with its head, on its device.
        tokenizer: Its tokenizer.

    Attributes:
        positions: Most positions that it reads and writes together; None: no limit is known.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self._feeding: Feeding = EncoderDecoder(model) if model.config.is_encoder_decoder else DecoderOnly(model)
        self.positions: int | None = getattr(model.config, "max_position_embeddings", None)
        ends = {tokenizer.eos_token_id, model.config.eos_token_id}
        if model.generation_config is not None:
            given = model.generation_config.eos_token_id
            ends |= set(given) if isinstance(given, list) else {given}
        self._ends = frozenset(end for end in ends if isinstance(end, int))

    @classmethod
    def load(cls, model: str | Checkpoint, device: str = "cpu", dtype: torch.dtype = torch.float32) -> LanguageModel:
        """Load a model and its tokenizer.

        Args:
            model: As `find_checkpoint` takes it, or what it found.
            device: Where it runs.
            dtype: Number format of its weights.

        Raises:
            ModelNotAvailableError: it is nowhere to be found.
            InvalidArgumentError: its files cannot be read.
        """
        checkpoint = find_checkpoint(model) if isinstance(model, str) else model
        return cls(load_model(checkpoint, head=True, dtype=dtype).to(device), load_tokenizer(checkpoint))

    # --- words -----------------------------------------------------------------------------------------------------

    def words(self, text: str) -> Words:
        """Token ids of a text, without special tokens in front or behind."""
        return Words(tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]))

    def chat(self, turns: Sequence[Mapping[str, str]]) -> Words:
        """Token ids of a conversation, up to where the model's answer begins.

        Special tokens that are spelt out in a turn are taken out of it, so that no turn can end itself.

        Args:
            turns: Each with ``role`` (``system``, ``user`` or ``assistant``) and ``content``.

        Raises:
            InvalidArgumentError: the model has no chat template.
        """
        if not self.tokenizer.chat_template:
            raise InvalidArgumentError(
                f"the language model {self.model.name_or_path!r} has no chat template; pass a model that was tuned to "
                "instructions"
            )
        specials = self.tokenizer.all_special_tokens
        plain = [{**turn, "content": _without(turn["content"], specials)} for turn in turns]
        text = self.tokenizer.apply_chat_template(plain, add_generation_prompt=True, tokenize=False)
        return self.words(text)

    # --- reading ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def states(self, sequences: Sequences, places_BX: Sequence[Sequence[int]]) -> Tensor:
        """Hidden states at chosen places.

        Args:
            sequences: What is read.
            places_BX: Positions, equally many in each sequence; negative ones count from its end.

        Returns:
            Shape: (B, X, H), float32.
        """
        read = self._embedded(sequences, pad_left=False)
        lengths_B1 = read.valid_BT.sum(1, keepdim=True)
        asked_BX = torch.tensor(places_BX, dtype=torch.long, device=lengths_B1.device)
        asked_BX = torch.where(asked_BX < 0, asked_BX + lengths_B1, asked_BX)
        states_BTH = self._feeding.states(read)
        rows_B1 = torch.arange(len(asked_BX), device=asked_BX.device).unsqueeze(1)
        return states_BTH[rows_B1, asked_BX].float()

    @torch.inference_mode()
    def log_probs(self, sequences: Sequences, texts: Sequence[Words]) -> list[float]:
        """Log-probability of each text, in nats, summed over its tokens.

        Args:
            sequences: What each text follows, or one sequence that all of them follow, which is read once.
            texts: The texts.
        """
        lengths = [len(text.ids) for text in texts]
        read = self._embedded(sequences, extra=max(lengths))
        ids_BS = torch.zeros(len(texts), max(lengths), dtype=torch.long, device=read.valid_BT.device)
        for row, text in enumerate(texts):
            ids_BS[row, : len(text.ids)] = torch.tensor(text.ids)
        log_probs_BSV = self._feeding.written_logits(read, ids_BS).log_softmax(-1)
        own_BS = log_probs_BSV.gather(2, ids_BS.unsqueeze(2)).squeeze(2)
        return [float(own_BS[row, :length].sum()) for row, length in enumerate(lengths)]

    # --- writing ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def beginning(self, words: Words) -> Beginning | None:
        """Read words once that many sequences begin with; None where the model cannot, as its encoder reads anew."""
        if not self._feeding.shares_beginnings or not words.ids:
            return None
        return Beginning(words, self._feeding.begin(self._embedded([[words]])))

    def write(
        self,
        sequences: Sequences,
        limits: WritingLimits | None = None,
        stop: Stop = never,
        after: Beginning | None = None,
    ) -> list[str]:
        """The text after each sequence, until the model ends it or a limit is reached.

        Args:
            sequences: What is read.
            limits: When writing ends at the latest.
            stop: Asked before each token; when it says so, what is written so far is returned.
            after: What comes before every sequence; None: nothing.
        """
        rows: list[list[int]] = [[] for _ in sequences]
        for ids_B in self._written(sequences, limits or WritingLimits(), stop, after):
            for row, token in zip(rows, ids_B, strict=True):
                if token is not None:
                    row.append(token)
        return [self._text(row) for row in rows]

    def stream(self, sequence: Sequence[Segment], limits: WritingLimits | None = None) -> Iterator[str]:
        """The text after a sequence, in pieces as they are written; together they are what `write` returns."""
        ids: list[int] = []
        shown = begin = 0
        for (token,) in self._written([sequence], limits or WritingLimits()):
            if token is None:
                break
            ids.append(token)
            # Only the last piece and the new tokens are decoded; a character may need several tokens.
            before, now = self._text(ids[begin:shown]), self._text(ids[begin:])
            if len(now) > len(before) and not now.endswith("\ufffd"):
                yield now[len(before) :]
                begin, shown = shown, len(ids)
        rest = self._text(ids[begin:])[len(self._text(ids[begin:shown])) :]
        if rest:
            yield rest

    @torch.inference_mode()
    def _written(
        self, sequences: Sequences, limits: WritingLimits, stop: Stop = never, after: Beginning | None = None
    ) -> Iterator[list[int | None]]:
        """The next token of each sequence; None where its text has ended."""
        if stop():
            return
        started = time.monotonic()
        generator = torch.Generator(device=self.model.device).manual_seed(limits.seed)
        before = 0 if after is None else len(after.words.ids)
        read = self._embedded(sequences, extra=limits.tokens + before)
        step = self._feeding.begin(read, None if after is None else after.step)
        ended = [False] * len(sequences)
        for number in range(limits.tokens):
            ids_B = _chosen(step.logits_BV, limits, generator)
            tokens = ids_B.tolist()
            ended = [was or token in self._ends for was, token in zip(ended, tokens, strict=True)]
            if all(ended):
                return
            yield [None if over else token for over, token in zip(ended, tokens, strict=True)]
            if number + 1 == limits.tokens or 0 < limits.seconds <= time.monotonic() - started or stop():
                return
            step = self._feeding.go_on(step, ids_B)

    def _text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _embedded(self, sequences: Sequences, *, pad_left: bool | None = None, extra: int = 0) -> Embedded:
        embedded = embed_sequences(
            sequences,
            self.model.get_input_embeddings(),
            pad_left=self._feeding.pads_left if pad_left is None else pad_left,
        )
        asked = embedded.valid_BT.shape[1] + extra
        if self.positions and asked > self.positions:
            raise InvalidArgumentError(
                f"{embedded.valid_BT.shape[1]} positions are to be read and {extra} written, and the language model "
                f"has {self.positions}; shorten the text or the history, or write less"
            )
        return embedded


def _chosen(logits_BV: Tensor, limits: WritingLimits, generator: torch.Generator) -> Tensor:
    """Token ids. Shape: (B,), int64."""
    if not limits.temperature:
        return logits_BV.argmax(-1)
    probability_BV, word_BV = (logits_BV / limits.temperature).softmax(-1).sort(descending=True, stable=True)
    before_BV = probability_BV.cumsum(-1) - probability_BV
    drawn_B1 = torch.multinomial(probability_BV.masked_fill(before_BV >= limits.top_p, 0.0), 1, generator=generator)
    return word_BV.gather(1, drawn_B1).squeeze(1)


def _without(text: str, specials: Sequence[str]) -> str:
    """A text in which no special token is spelt any more, not even once others were taken out."""
    while any(special in text for special in specials):
        for special in specials:
            text = text.replace(special, "")
    return text
