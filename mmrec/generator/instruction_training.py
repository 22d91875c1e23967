"""Training of the generator on instructions of all tasks together, and on histories so that it keeps both heads.

Every step takes some examples and a batch of histories. Items are answered among the whole catalogue, texts among those
of the same kind. As in `training`, all random draws are derived from (seed, epoch, step).
"""

# Axes: X examples, B examples of a batch, N items, P levels, A texts of answers, D dimensions of a text's vector, H
# hidden width

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mmrec.generator.batches import Batch, epoch_batches
from mmrec.generator.config import TrainingConfig
from mmrec.generator.instructions import Instructions
from mmrec.generator.item_softmax import item_softmax
from mmrec.generator.losses import compute_losses, nodes_by_depth
from mmrec.generator.model import Generator
from mmrec.generator.negatives import ItemSampler
from mmrec.runtime.checkpoint import Position
from mmrec.runtime.device import autocast
from mmrec.runtime.limits import check_numbers
from mmrec.runtime.schedule import cosine_to_a_tenth, step_seed
from mmrec.runtime.shutdown import StopRequest
from mmrec.runtime.trainer import StepResult, Trainer, TrainerConfig, TrainingRun
from mmrec.semantic_ids.decode_index import DecodeIndex

_ALL_TEXTS, _SOME_TEXTS = 2048, 1024
"""Texts of one kind up to which a step scores all of them, and how many others it draws of more."""


@dataclass(frozen=True, slots=True)
class InstructionTrainingConfig:
    """How instructions are learned.

    Attributes:
        epochs: Passes over the examples.
        batch_examples: Examples of a step.
        batch_positions: History positions of a step; 0: instructions alone are trained, and lists from histories may
            get worse.
        learning_rate: Peak learning rate of AdamW.
        noise: Length of the random vector that is added to the unit vector of words, so that wordings that training
            does not know are read alike.
    """

    epochs: int = 3
    batch_examples: int = 128
    batch_positions: int = 1024
    learning_rate: float = 1e-3
    noise: float = 0.3

    def __post_init__(self) -> None:
        check_numbers(self, "epochs", "batch_examples", low=1)
        check_numbers(self, "batch_positions", "noise", low=0)
        check_numbers(self, "learning_rate", over=0)


class InstructionTexts(NamedTuple):
    """Vectors of the texts that instructions name by number.

    Attributes:
        words_SD: Unit vectors of words; None where words are a pretrained model's own tokens. Shape: (S, D).
        answers_AD: Unit vectors of texts of answers. Shape: (A, D), float32.
    """

    words_SD: Tensor | None
    answers_AD: Tensor

    def on(self, device: torch.device) -> InstructionTexts:
        """The same on another device."""
        return InstructionTexts(None if self.words_SD is None else self.words_SD.to(device), self.answers_AD.to(device))


@dataclass(frozen=True, eq=False)
class InstructionData:
    """What is trained on.

    Attributes:
        instructions: The examples.
        texts: Their words and answers.
        histories: Training histories as catalogue rows, oldest first.
        index: The decode index, on the model's device.
    """

    instructions: Instructions
    texts: InstructionTexts
    histories: Sequence[npt.NDArray[np.int32]]
    index: DecodeIndex


def train_instructions(
    model: Generator,
    data: InstructionData,
    config: InstructionTrainingConfig,
    losses: TrainingConfig,
    run: TrainingRun,
    *,
    seed: int,
) -> None:
    """Train a generator in place, decoder, item tokens and heads, on instructions and histories.

    Args:
        model: On the device of `run.processes`; best trained on histories before.
        data: Examples, their texts, histories.
        config: Training options.
        losses: How the losses of histories are computed.
        run: Environment; `identity` is a hash of everything that the weights depend on.
        seed: Of all random draws.

    Raises:
        FailedPreconditionError: the processes see different checkpoints.
        StoppedError: a stop was requested.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.learn_instructions(data.texts.answers_AD.shape[1]).to(run.processes.device)
    task = _InstructionTask(model, data, config, losses, run, seed)
    trainer_config = TrainerConfig(epochs=config.epochs, weight_decay=0.05, betas=(0.9, 0.98), clip_norm=1.0)
    with StopRequest() as stop:
        run = replace(run, stop=stop, identity=f"{run.identity} {seed} {asdict(config)} {asdict(losses)}")
        trainer = Trainer(task, trainer_config, run)
        if run.processes.is_main:
            run.progress.start("train on instructions", config.epochs * task.epoch_units, "examples")
        trainer.fit()
        if run.processes.is_main:
            run.progress.finish()


class _Step(NamedTuple):
    examples_B: npt.NDArray[np.int64]
    histories: Batch | None


class _InstructionTask:
    losses = ("instruction_loss", "item_loss", "semantic_id_loss")

    def __init__(
        self,
        model: Generator,
        data: InstructionData,
        config: InstructionTrainingConfig,
        losses: TrainingConfig,
        run: TrainingRun,
        seed: int,
    ) -> None:
        self.module = self._model = model
        self._data, self._config, self._losses, self._seed = data, config, losses, seed
        self._processes, self._dtype = run.processes, run.dtype
        self._texts = data.texts.on(run.processes.device)
        self._nodes_PN = nodes_by_depth(data.index)
        self.epoch_units = len(data.instructions.inputs)
        self._steps = math.ceil(self.epoch_units / config.batch_examples)
        items, device = self._nodes_PN.shape[1], run.processes.device
        self._sampler = ItemSampler.of_histories(data.histories, items, device) if losses.samples(items) else None
        self._draws_histories = bool(config.batch_positions) and any(len(history) > 1 for history in data.histories)

    def batches(self, epoch: int, done: int) -> Iterator[_Step]:
        order_X = np.random.default_rng((self._seed, epoch)).permutation(self.epoch_units)
        size = self._config.batch_examples
        chosen = [order_X[begin : begin + size] for begin in range(0, len(order_X), size)]
        steps = zip(chosen, self._endless_histories(epoch), strict=False)
        return itertools.islice((_Step(*step) for step in steps), done, None)

    def _endless_histories(self, epoch: int) -> Iterator[Batch | None]:
        for again in itertools.count():
            if self._draws_histories:
                yield from epoch_batches(
                    self._data.histories,
                    longest=self._model.config.max_history,
                    positions=self._config.batch_positions,
                    seed=self._seed,
                    epoch=(epoch + 1) * 10_000 + again,
                )
            else:
                yield None

    def optimizer_values(self, at: Position) -> Mapping[str, Any]:
        step = len(at.epochs) * self._steps + at.steps
        return {"lr": cosine_to_a_tenth(step, self._config.learning_rate, 50, self._config.epochs * self._steps)}

    def backward(self, batch: _Step, at: Position, scale: Callable[[Tensor], Tensor]) -> StepResult:
        processes = self._processes
        torch.manual_seed(step_seed(self._seed, len(at.epochs) + 1, at.steps, processes.index))
        found: list[tuple[Tensor | None, int, float]] = []
        with autocast(processes.device, self._dtype):
            own_B = batch.examples_B[processes.index :: processes.count]
            found.append((self._instruction_loss(own_B) if len(own_B) else None, len(own_B), 1.0))
            found += self._history_losses(batch.histories)
        counts_3 = torch.tensor([count for _, count, _ in found], dtype=torch.float32, device=processes.device)
        total_3 = counts_3.clone()
        processes.all_reduce([total_3])
        # Weighted so that the sum over processes is the mean over all examples and positions.
        shares_3 = (counts_3 / total_3.clamp(min=1.0)).tolist()
        sums_32 = torch.zeros(3, 2, dtype=torch.float64, device=processes.device)
        parts = []
        for place, ((loss, count, weight), share) in enumerate(zip(found, shares_3, strict=True)):
            if loss is not None:
                parts.append(share * weight * loss)
                sums_32[place, 0], sums_32[place, 1] = float(loss.detach()) * count, count
        if parts:
            scale(torch.stack(parts).sum()).backward()  # type: ignore[no-untyped-call]
        return StepResult(sums_32, len(batch.examples_B))

    def _history_losses(self, batch: Batch | None) -> list[tuple[Tensor | None, int, float]]:
        processes, config = self._processes, self._losses
        own = batch.share(processes.index, processes.count) if batch is not None else None
        if own is None or not len(own.valid_BT):
            return [(None, 0, 1.0), (None, 0, 1.0)]
        drawn = self._sampler.draw(config.negatives) if self._sampler else None
        own = own.on(processes.device)._replace(drawn=drawn)
        losses = compute_losses(self._model, own, self._data.index, self._nodes_PN, config)
        return [
            (losses.item, losses.item_places, 1.0),
            (losses.semantic_id, losses.semantic_id_places, config.semantic_id_weight),
        ]

    def _instruction_loss(self, chosen_B: npt.NDArray[np.int64]) -> Tensor:
        """Mean over examples."""
        data, device, model = self._data.instructions, self._processes.device, self._model
        tokens_NH = model.item_tokens()
        states_BH = model.read_instructions(
            data.batch(chosen_B, device), tokens_NH, self._texts.words_SD, noise=self._config.noise
        )
        items_B = torch.from_numpy(data.items_X[chosen_B]).to(device)
        loss = states_BH.new_zeros((), dtype=torch.float32)
        asked_B = items_B >= 0
        if asked_B.any():
            drawn = self._sampler.draw(self._losses.negatives) if self._sampler else None
            mean = item_softmax(
                states_BH[asked_B], tokens_NH, items_B[asked_B], drawn, scale=tokens_NH.shape[1] ** -0.5
            )
            loss = loss + mean * asked_B.sum()
        texts_B, spaces_B = data.texts_X[chosen_B], data.spaces_X[chosen_B]
        for space in np.unique(spaces_B[texts_B >= 0]):
            rows_B = np.flatnonzero((texts_B >= 0) & (spaces_B == space))
            loss = loss + self._text_loss(states_BH[torch.from_numpy(rows_B).to(device)], texts_B[rows_B], int(space))
        return loss / len(chosen_B)

    def _text_loss(self, states_BH: Tensor, texts_B: npt.NDArray[np.int64], space: int) -> Tensor:
        """Cross-entropy among the texts of one kind, summed."""
        offered_A, reader = self._data.instructions.spaces[space], self._model.instructions
        assert reader is not None
        if len(offered_A) > _ALL_TEXTS:
            drawn = torch.randint(len(offered_A), (_SOME_TEXTS,)).numpy()
            offered_A = np.unique(np.concatenate([offered_A[drawn], texts_B]))
        device = states_BH.device
        answers_AH = reader.answers(self._texts.answers_AD[torch.from_numpy(offered_A).to(device)])
        logits_BA = (states_BH @ answers_AH.T).float() / math.sqrt(states_BH.shape[1])
        places_B = torch.from_numpy(np.searchsorted(offered_A, texts_B)).to(device)
        return F.cross_entropy(logits_BA, places_B, reduction="sum")

    def validate(self) -> Mapping[str, float]:
        return {}

    def describe(self, means: Sequence[float], at: Position) -> str:
        losses = " + ".join(f"{mean:.3f}" for mean in means)
        return f"instructions, epoch {len(at.epochs) + (at.steps > 0)}: loss {losses}"
