"""The two ways in which a language model is fed: decoder-only, and encoder-decoder.

A decoder-only model reads and writes one sequence; an encoder-decoder model reads with its encoder and writes with its
decoder. Both write with a KV cache. Nothing here depends on a particular architecture.
"""

# Axes: B sequences, T positions read, S words written, H hidden width, V words of the vocabulary

from __future__ import annotations

import copy
import inspect
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from mmrec.language.segments import Embedded


class Step(NamedTuple):
    """A model in the middle of writing.

    Attributes:
        logits_BV: Of the next word. Shape: (B, V), float32.
        cache: Keys and values of all positions so far.
        valid_BT: Which positions are attended to. Shape: (B, T), bool.
        read_BTH: What an encoder read; None without one. Shape: (B, T, H).
    """

    logits_BV: Tensor
    cache: Any
    valid_BT: Tensor
    read_BTH: Tensor | None = None


class Feeding(Protocol):
    """How one kind of model is fed."""

    pads_left: bool
    """On which side sequences must be padded for `begin` and `written_logits`."""
    shares_beginnings: bool
    """Whether sequences may go on after one beginning, which is read once for all of them."""

    def states(self, read: Embedded) -> Tensor:
        """Hidden states of the last layer that reads. Shape: (B, T, H)."""
        ...

    def begin(self, read: Embedded, after: Step | None = None) -> Step:
        """Read, before the first word is written.

        Args:
            read: What is read.
            after: What was read of one sequence that all of these go on; it is not changed.
        """
        ...

    def go_on(self, step: Step, ids_B: Tensor) -> Step:
        """Write one word. Shape of `ids_B`: (B,), int64."""
        ...

    def written_logits(self, read: Embedded, ids_BS: Tensor) -> Tensor:
        """Logits of each of the written words, given what was read and the words before it. Shape: (B, S, V).

        Where one sequence was read and several texts are written, it is read once for all of them.
        """
        ...


class DecoderOnly:
    """Feeds a decoder-only model.

    Args:
        model: With its head.
    """

    pads_left = True
    shares_beginnings = True

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache = _cache_name(model)

    def states(self, read: Embedded) -> Tensor:
        """See `Feeding`."""
        found: Tensor = self._model.base_model(
            inputs_embeds=read.inputs_BTH,
            attention_mask=read.valid_BT.long(),
            position_ids=_positions(read.valid_BT),
            use_cache=False,
        ).last_hidden_state
        return found

    def begin(self, read: Embedded, after: Step | None = None) -> Step:
        """See `Feeding`."""
        valid_BT, known = read.valid_BT, {}
        if after is not None:
            cache = copy.deepcopy(after.cache)
            cache.batch_repeat_interleave(len(valid_BT))
            known = {self._cache: cache}
            valid_BT = torch.cat([after.valid_BT.expand(len(valid_BT), -1), valid_BT], dim=1)
        out = self._model(
            inputs_embeds=read.inputs_BTH,
            attention_mask=valid_BT.long(),
            position_ids=_positions(valid_BT)[:, -read.valid_BT.shape[1] :],
            use_cache=True,
            logits_to_keep=1,
            **known,
        )
        return Step(out.logits[:, -1].float(), out[self._cache], valid_BT)

    def go_on(self, step: Step, ids_B: Tensor) -> Step:
        """See `Feeding`."""
        valid_BT = torch.cat([step.valid_BT, torch.ones_like(step.valid_BT[:, :1])], dim=1)
        out = self._written(ids_B.unsqueeze(1), valid_BT, step.cache)
        return Step(out.logits[:, -1].float(), out[self._cache], valid_BT)

    def _written(self, ids_BS: Tensor, valid_BT: Tensor, cache: Any) -> Any:
        """What the model says to words that are written after what is in the cache."""
        return self._model(
            input_ids=ids_BS,
            attention_mask=valid_BT.long(),
            position_ids=_positions(valid_BT)[:, -ids_BS.shape[1] :],
            use_cache=True,
            **{self._cache: cache},
        )

    def written_logits(self, read: Embedded, ids_BS: Tensor) -> Tensor:
        """See `Feeding`."""
        if len(read.valid_BT) == 1 < len(ids_BS):
            return self._logits_after_one(read, ids_BS)
        written_BSH = self._model.get_input_embeddings()(ids_BS)
        valid_BT = torch.cat([read.valid_BT, torch.ones_like(ids_BS, dtype=torch.bool)], dim=1)
        out = self._model(
            inputs_embeds=torch.cat([read.inputs_BTH, written_BSH], dim=1),
            attention_mask=valid_BT.long(),
            position_ids=_positions(valid_BT),
            use_cache=False,
            logits_to_keep=ids_BS.shape[1] + 1,
        )
        return out.logits[:, -ids_BS.shape[1] - 1 : -1].float()  # type: ignore[no-any-return]

    def _logits_after_one(self, read: Embedded, ids_BS: Tensor) -> Tensor:
        texts = len(ids_BS)
        step = self.begin(read)
        first_B1V = step.logits_BV.expand(texts, -1).unsqueeze(1)
        if ids_BS.shape[1] == 1:
            return first_B1V
        step.cache.batch_repeat_interleave(texts)
        valid_BT = torch.ones(texts, read.valid_BT.shape[1] + ids_BS.shape[1] - 1, dtype=torch.bool).to(ids_BS.device)
        out = self._written(ids_BS[:, :-1], valid_BT, step.cache)
        return torch.cat([first_B1V, out.logits.float()], dim=1)


class EncoderDecoder:
    """Feeds an encoder-decoder model.

    Args:
        model: With its head.
    """

    pads_left = False
    shares_beginnings = False

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache = _cache_name(model)

    def states(self, read: Embedded) -> Tensor:
        """See `Feeding`; the encoder's."""
        found: Tensor = self._model.get_encoder()(
            inputs_embeds=read.inputs_BTH, attention_mask=read.valid_BT.long()
        ).last_hidden_state
        return found

    def begin(self, read: Embedded, after: Step | None = None) -> Step:
        """See `Feeding`; an encoder reads everything anew."""
        assert after is None, "an encoder-decoder model shares no beginnings"
        start_B = self._start(len(read.valid_BT), read.valid_BT.device)
        return self.go_on(Step(torch.empty(0), None, read.valid_BT, self.states(read)), start_B)

    def go_on(self, step: Step, ids_B: Tensor) -> Step:
        """See `Feeding`."""
        out = self._model(
            encoder_outputs=(step.read_BTH,),
            attention_mask=step.valid_BT.long(),
            decoder_input_ids=ids_B.unsqueeze(1),
            use_cache=True,
            **{self._cache: step.cache},
        )
        return step._replace(logits_BV=out.logits[:, -1].float(), cache=out[self._cache])

    def written_logits(self, read: Embedded, ids_BS: Tensor) -> Tensor:
        """See `Feeding`."""
        start_B1 = self._start(len(ids_BS), ids_BS.device).unsqueeze(1)
        read_BTH, valid_BT = self.states(read), read.valid_BT
        if len(valid_BT) == 1 < len(ids_BS):
            read_BTH, valid_BT = read_BTH.expand(len(ids_BS), -1, -1), valid_BT.expand(len(ids_BS), -1)
        out = self._model(
            encoder_outputs=(read_BTH,),
            attention_mask=valid_BT.long(),
            decoder_input_ids=torch.cat([start_B1, ids_BS[:, :-1]], dim=1),
            use_cache=False,
        )
        return out.logits.float()  # type: ignore[no-any-return]

    def _start(self, batch: int, device: torch.device) -> Tensor:
        return torch.full((batch,), self._model.config.decoder_start_token_id or 0, device=device)


def _positions(valid_BT: Tensor) -> Tensor:
    """Numbers of positions, without padding on the left. Shape: (B, T), int64."""
    return (valid_BT.long().cumsum(1) - 1).clamp(min=0)


def _cache_name(model: Any) -> str:
    """What this version of transformers calls the KV cache."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
