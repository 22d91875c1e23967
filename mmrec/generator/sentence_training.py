"""Training of the reader of sentences: the next item, given a history and a sentence about that item.

Everything else of the generator stays as it is. A step takes a sentence at every position of its windows, one before
the first item included, so that a sentence alone is read as well.
"""

# Axes: B windows, T history positions, L positions of sentences, D dimensions of a sentence's vector, H hidden width,
# U users, X sentences of a batch

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mmrec.generator.batches import Batch, epoch_batches, epoch_turns, pad_histories, transitions_of
from mmrec.generator.item_softmax import item_softmax
from mmrec.generator.model import Generator
from mmrec.generator.negatives import ItemSampler
from mmrec.generator.sentence_bank import SentenceBank
from mmrec.generator.validation import ValidationSet
from mmrec.runtime.checkpoint import Position
from mmrec.runtime.device import autocast
from mmrec.runtime.limits import check_numbers
from mmrec.runtime.schedule import cosine_to_a_tenth, step_seed
from mmrec.runtime.shutdown import StopRequest
from mmrec.runtime.trainer import StepResult, Trainer, TrainerConfig, TrainingRun

_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class SentenceConfig:
    """How the reader of sentences is trained.

    Attributes:
        epochs: Maximum epochs over the training histories; 0: no reader is trained, and instructions do not reach the
            LLM. More on small training sets, up to `least_steps`.
        least_steps: See `epochs`.
        patience: Epochs without a better validation NDCG@10 after which training stops.
        epoch_events: Most events of an epoch; of more, epochs take shares in turn.
        batch_positions: Maximum history positions per step.
        learning_rate: Peak learning rate of AdamW.
        noise: Length of the random vector that is added to a sentence's unit vector, so that wordings that training
            does not know are read alike.
        most: Most sentences that are encoded.
        negatives: Items sampled per step in catalogues of more than `full_softmax_items`.
        full_softmax_items: See `negatives`.
        max_minutes: Training stops after the epoch in which this time is exceeded; 0: no limit.
    """

    epochs: int = 1
    least_steps: int = 240
    patience: int = 3
    epoch_events: int = 500_000
    batch_positions: int = 512
    learning_rate: float = 3e-3
    noise: float = 0.3
    most: int = 4000
    negatives: int = 8192
    full_softmax_items: int = 50_000
    max_minutes: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(self, "epochs", "least_steps", "noise", "max_minutes", low=0)
        check_numbers(
            self, "patience", "epoch_events", "batch_positions", "most", "negatives", "full_softmax_items", low=1
        )
        check_numbers(self, "learning_rate", over=0)


def train_sentences(
    model: Generator,
    histories: Sequence[npt.NDArray[np.int32]],
    bank: SentenceBank,
    validation: ValidationSet,
    config: SentenceConfig,
    run: TrainingRun,
    *,
    seed: int,
) -> None:
    """Add a reader of sentences to a trained generator, and train it; nothing else of the generator changes.

    Args:
        model: Trained, on the device of `run.processes`.
        histories: Training histories as catalogue rows, oldest first.
        bank: Sentences about the items.
        validation: Questions for early stopping, each asked with a sentence about its answer.
        config: Training options.
        run: Environment; `identity` is a hash of everything that the weights of the generator and the sentences depend
            on.
        seed: Of all random draws.

    Raises:
        FailedPreconditionError: the processes see different checkpoints.
        StoppedError: a stop was requested.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.learn_sentences(bank.dimension).to(run.processes.device)
    task = _SentenceTask(model, histories, bank, validation, config, run, seed)
    trainer_config = TrainerConfig(
        epochs=task.epochs,
        weight_decay=0.05,
        betas=(0.9, 0.98),
        clip_norm=1.0,
        fused=True,
        best_by="ndcg_at_10" if len(validation.targets_U) else "",
        patience=config.patience,
        max_minutes=config.max_minutes,
    )
    with StopRequest() as stop:
        run = replace(run, stop=stop, identity=f"{run.identity} {seed} {asdict(config)}")
        trainer = Trainer(task, trainer_config, run)
        if run.processes.is_main:
            run.progress.start("train sentences", task.epochs * task.epoch_units, "events")
        trainer.fit()
        if run.processes.is_main:
            run.progress.finish()


class _SentenceTask:
    losses = ("sentence_loss",)

    def __init__(
        self,
        model: Generator,
        histories: Sequence[npt.NDArray[np.int32]],
        bank: SentenceBank,
        validation: ValidationSet,
        config: SentenceConfig,
        run: TrainingRun,
        seed: int,
    ) -> None:
        assert model.sentences is not None
        self._model, self._reader = model, model.sentences
        self.module: nn.Module = model.sentences
        self._bank, self._validation, self._config = bank, validation, config
        self._turns = epoch_turns(histories, config.epoch_events, seed)
        self._processes, self._dtype, self._seed = run.processes, run.dtype, seed
        device = run.processes.device
        with torch.inference_mode():
            tokens_NH = model.eval().item_tokens()
            content_NC = model.catalogue.content_NC
        # Copies that autograd may use.
        self._tokens_NH, self._content_NC = tokens_NH.clone(), content_NC.clone()
        self._vectors_SD = torch.from_numpy(bank.vectors_SD).to(device)
        self.epoch_units = math.ceil(transitions_of(histories) / len(self._turns))
        self._positions = max(1, min(config.batch_positions, self.epoch_units // 24))
        self._steps = max(1, math.ceil(self.epoch_units / self._positions))
        self.epochs = max(config.epochs, math.ceil(config.least_steps / self._steps))
        sampled = len(tokens_NH) > config.full_softmax_items
        self._sampler = ItemSampler.of_histories(histories, len(tokens_NH), device) if sampled else None

    def batches(self, epoch: int, done: int) -> Iterator[Batch]:
        return epoch_batches(
            self._turns[epoch % len(self._turns)],
            longest=self._model.config.max_history,
            positions=self._positions,
            seed=self._seed,
            epoch=epoch + 1,
            done=done,
        )

    def optimizer_values(self, at: Position) -> Mapping[str, Any]:
        step = len(at.epochs) * self._steps + at.steps
        return {"lr": cosine_to_a_tenth(step, self._config.learning_rate, 50, self.epochs * self._steps)}

    def backward(self, batch: Batch, at: Position, scale: Callable[[Tensor], Tensor]) -> StepResult:
        processes, config = self._processes, self._config
        number = step_seed(self._seed, len(at.epochs) + 1, at.steps, processes.index)
        torch.manual_seed(number)
        own = batch.share(processes.index, processes.count) if processes.count > 1 else batch
        loss, count = None, 0
        if len(own.valid_BT):
            # The first item is the answer to a sentence without a history.
            target_BL = torch.cat([own.history_BT[:, :1], own.target_BT], dim=1)
            valid_BL = torch.cat([own.valid_BT[:, :1], own.valid_BT], dim=1)
            rows_X = self._bank.draw(target_BL.flatten().numpy(), np.random.default_rng(number))
            rows_BL = torch.from_numpy(rows_X).view(target_BL.shape).to(processes.device)
            asked_BL = valid_BL.to(processes.device) & (rows_BL >= 0)
            count = int(asked_BL.sum())
            if count:
                sentences_BLD = self._vectors_SD[rows_BL.clamp(min=0)]
                noise_BLD = torch.randn_like(sentences_BLD) * (config.noise * sentences_BLD.shape[-1] ** -0.5)
                noise_BLD = noise_BLD * torch.rand_like(noise_BLD[..., :1])
                sentences_BLD = torch.nn.functional.normalize(sentences_BLD + noise_BLD, dim=-1)
                target_X = target_BL.to(processes.device)[asked_BL]
                tokens_RH, content_RC, drawn = self._tokens_NH, self._content_NC, None
                if self._sampler:
                    # Only the items of the batch have gradients: the rest of a large catalogue costs nothing.
                    drawn = self._sampler.draw(config.negatives)
                    rows_R = torch.unique(torch.cat([target_X, drawn.rows_M]))
                    tokens_RH, content_RC = tokens_RH[rows_R], content_RC[rows_R]
                    target_X = torch.searchsorted(rows_R, target_X)
                    drawn = drawn._replace(rows_M=torch.searchsorted(rows_R, drawn.rows_M))
                with autocast(processes.device, self._dtype):
                    reader = self._reader
                    states_BLH = reader.at_every_position(
                        self._tokens_NH[own.history_BT.to(processes.device)], sentences_BLD
                    )
                    loss = item_softmax(
                        torch.cat([states_BLH[asked_BL], reader.asked(sentences_BLD[asked_BL])], dim=1),
                        torch.cat([tokens_RH, reader.answers(content_RC)], dim=1),
                        target_X,
                        drawn,
                        scale=self._tokens_NH.shape[1] ** -0.5,
                    )
        total_1 = torch.tensor([float(count)], device=processes.device)
        processes.all_reduce([total_1])
        sums_12 = torch.zeros(1, 2, dtype=torch.float64, device=processes.device)
        if loss is not None:
            scale(loss * (count / total_1[0])).backward()  # type: ignore[no-untyped-call]
            sums_12[0, 0], sums_12[0, 1] = float(loss.detach()) * count, count
        return StepResult(sums_12, int(batch.valid_BT.sum()))

    def validate(self) -> Mapping[str, float]:
        return {"ndcg_at_10": _ndcg_at_10(self._model, self._tokens_NH, self._bank, self._validation, self._seed)}

    def describe(self, means: Sequence[float], at: Position) -> str:
        done = f", validation NDCG@10 {at.epochs[-1]['ndcg_at_10']:.4f}" if at.epochs else ""
        return f"sentences, epoch {len(at.epochs) + (at.steps > 0)}: loss {means[0]:.3f}{done}"


@torch.inference_mode()
def _ndcg_at_10(
    model: Generator, tokens_NH: Tensor, bank: SentenceBank, validation: ValidationSet, seed: int, users: int = 2000
) -> float:
    """NDCG@10 of the item head when each question comes with a sentence about its answer, seen items removed."""
    if not len(validation.targets_U):
        return 0.0
    model.eval()
    reader = model.sentences
    assert reader is not None
    answers_NW = reader.answers(model.catalogue.content_NC)
    chosen = np.unique(np.linspace(0, len(validation.targets_U) - 1, users).astype(int))
    rows_U = bank.draw(validation.targets_U[chosen], np.random.default_rng(seed))
    asked, gain = np.flatnonzero(rows_U >= 0), 0.0
    for part in np.array_split(asked, max(1, math.ceil(len(asked) / _AT_ONCE))):
        users_B = chosen[part]
        histories = [validation.histories[user] for user in users_B]
        history_BT, valid_BT = (
            each.to(tokens_NH.device) for each in pad_histories(histories, model.config.max_history)
        )
        sentences_BD = torch.from_numpy(bank.vectors_SD[rows_U[part]]).to(tokens_NH.device)
        encoded = model.read_sentences(history_BT, valid_BT, tokens_NH, sentences_BD)
        scores_BN = model.item_logits(encoded.last(), tokens_NH)
        scores_BN += model.item_logits(reader.asked(sentences_BD), answers_NW)
        for row, history in enumerate(histories):
            scores_BN[row, torch.from_numpy(history.astype(np.int64)).to(scores_BN.device)] = float("-inf")
        target_B = torch.from_numpy(validation.targets_U[users_B].astype(np.int64)).to(scores_BN.device)
        rank_B = (scores_BN >= scores_BN.gather(1, target_B.unsqueeze(1))).sum(1) - 1
        gain += float(torch.where(rank_B < 10, 1 / torch.log2(rank_B + 2.0), 0.0).sum())
    return gain / max(1, len(asked))
