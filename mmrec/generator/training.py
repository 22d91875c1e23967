"""Training the generator on histories, with early stopping and a checkpoint after every epoch.

Works on catalogue rows. All places of a window are trained in one pass: the item head by cross-entropy over the whole
catalogue, the semantic-ID head by cross-entropy over the codes that continue a real path. All randomness of an epoch
follows from (seed, epoch), so a run that is killed and started again makes the same model as one that was not.
"""

# Axes: B windows, T places, N items, H hidden width, P levels

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmrec.data.files import replace_file
from mmrec.generator.batches import epoch_batches, pad_histories
from mmrec.generator.config import TrainingConfig
from mmrec.generator.losses import compute_losses, nodes_by_depth
from mmrec.generator.model import Generator
from mmrec.progress import NO_PROGRESS, Progress
from mmrec.tokens.decode_index import DecodeIndex

__all__ = ["EpochRecord", "TrainingResult", "ValidationSet", "train_generator"]


class ValidationSet(NamedTuple):
    """What the metric is measured on: histories and the item that came next."""

    histories: Sequence[npt.NDArray[np.int32]]
    targets_U: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """Figures of one pass.

    Attributes:
        epoch: From 1.
        item_loss: Mean cross-entropy of the item head, in nats.
        semantic_id_loss: Mean negative log-probability of a whole path, in nats.
        ndcg_at_10: Of the item head on the validation set, whole catalogue, seen removed.
        seconds: Wall time of the pass, validation included.
    """

    epoch: int
    item_loss: float
    semantic_id_loss: float
    ndcg_at_10: float
    seconds: float


class TrainingResult(NamedTuple):
    """Passes that were made, and the one whose weights were kept."""

    epochs: tuple[EpochRecord, ...]
    best_epoch: int


class _State(NamedTuple):
    """What a checkpoint holds beside tensors."""

    records: list[EpochRecord]
    best_epoch: int


def train_generator(
    model: Generator,
    index: DecodeIndex,
    histories: Sequence[npt.NDArray[np.int32]],
    validation: ValidationSet,
    config: TrainingConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
    progress: Progress = NO_PROGRESS,
    checkpoint: Path | None = None,
) -> TrainingResult:
    """Train `model` in place; afterwards it holds the weights of the best epoch.

    Args:
        model: On `device`.
        index: The decode index, on `device`.
        histories: Training histories as catalogue rows, oldest first.
        validation: What early stopping watches. Empty: the last epoch is kept.
        config: See `TrainingConfig`.
        device: Where to compute.
        dtype: Number format of the matrix products; weights stay in float32.
        seed: Of order, cuts and dropout.
        progress: Told of every step.
        checkpoint: Folder for the checkpoint, continued from if it holds one of the same run.
    """
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=config.learning_rate,
        betas=(0.9, 0.98),
    )
    state = _State([], 0)
    best = _weights(model)
    if checkpoint is not None and (checkpoint / "state.json").exists():
        state, best = _load(checkpoint, model, optimizer)
    records, best_epoch = state
    transitions = sum(max(0, len(history) - 1) for history in histories)
    positions = config.positions_for(transitions)
    steps_per_epoch = max(1, math.ceil(transitions / positions))
    nodes_PN = nodes_by_depth(index)
    started = time.monotonic() - sum(record.seconds for record in records)

    progress.start("train", config.epochs * transitions, "items")
    progress.advance(len(records) * transitions)
    for epoch in range(len(records) + 1, config.epochs + 1):
        if best_epoch and epoch - 1 - best_epoch >= config.patience:
            break
        epoch_start = time.monotonic()
        totals = np.zeros(3)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed * 100_003 + epoch)
            model.train()
            batches = epoch_batches(
                histories,
                longest=model.config.max_history,
                positions=positions,
                seed=seed,
                epoch=epoch,
            )
            for step, batch in enumerate(batches):
                rate = _rate((epoch - 1) * steps_per_epoch + step, config, steps_per_epoch)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                    losses = compute_losses(model, batch.on(device), index, nodes_PN, config)
                loss = losses.item + config.semantic_id_weight * losses.semantic_id
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                count = int(batch.valid_BT.sum())
                totals += (losses.item.item() * count, losses.semantic_id.item() * count, count)
                progress.advance(count)
        ndcg = _ndcg_at_10(model, validation, config.validation_users, device)
        count = max(totals[2], 1)
        records.append(
            EpochRecord(epoch, float(totals[0] / count), float(totals[1] / count), ndcg, time.monotonic() - epoch_start)
        )
        if best_epoch == 0 or ndcg > records[best_epoch - 1].ndcg_at_10 or not len(validation.targets_U):
            best_epoch, best = epoch, _weights(model)
        progress.say(
            f"epoch {epoch}: loss {records[-1].item_loss:.3f} + {records[-1].semantic_id_loss:.3f}, "
            f"validation NDCG@10 {ndcg:.4f} (best {records[best_epoch - 1].ndcg_at_10:.4f} at {best_epoch})"
        )
        if checkpoint is not None:
            _save(checkpoint, model, optimizer, best, _State(records, best_epoch))
        if config.max_minutes and time.monotonic() - started > 60 * config.max_minutes:
            break
    model.load_state_dict(best)
    model.eval()
    progress.finish(f"best epoch {best_epoch} of {len(records)}")
    return TrainingResult(tuple(records), best_epoch)


def _rate(step: int, config: TrainingConfig, steps_per_epoch: int) -> float:
    """Linear warm-up, then a cosine down to a tenth over the longest possible run."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = min(1.0, step / max(1, config.epochs * steps_per_epoch))
    return config.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


@torch.inference_mode()
def _ndcg_at_10(model: Generator, validation: ValidationSet, users: int, device: torch.device) -> float:
    """NDCG@10 of the item head, whole catalogue, seen removed; 0 without a validation set."""
    model.eval()
    if not len(validation.targets_U):
        return 0.0
    # Evenly spread rather than the first ones: files are often sorted.
    chosen = np.unique(np.linspace(0, len(validation.targets_U) - 1, users).astype(int))
    tokens_NH = model.item_tokens()
    gain = 0.0
    for rows in np.array_split(chosen, math.ceil(len(chosen) / 256)):
        histories = [validation.histories[row] for row in rows]
        history_BT, valid_BT = pad_histories(histories, model.config.max_history)
        memory = model.read(history_BT.to(device), valid_BT.to(device), tokens_NH)
        scores_BN = model.item_logits(memory.last(), tokens_NH)
        for row, history in enumerate(histories):
            scores_BN[row, torch.from_numpy(history.astype(np.int64)).to(device)] = float("-inf")
        target_B = torch.from_numpy(validation.targets_U[rows].astype(np.int64)).to(device)
        rank_B = (scores_BN > scores_BN.gather(1, target_B.unsqueeze(1))).sum(1)
        gain += float(torch.where(rank_B < 10, 1 / torch.log2(rank_B + 2.0), 0.0).sum())
    return gain / len(chosen)


def _weights(model: Generator) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _save(
    folder: Path, model: Generator, optimizer: torch.optim.Optimizer, best: dict[str, Tensor], state: _State
) -> None:
    """Write the checkpoint beside the old one and swap it in, so that a kill leaves one of the two whole."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor.contiguous() for name, tensor in best.items()}
    for number, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{slot}": value.contiguous() for slot, value in slots.items()}
    name = f"epoch-{len(state.records)}.safetensors"
    replace_file(folder / name, lambda path: save_file(tensors, path))
    record = {
        "tensors": name,
        "best_epoch": state.best_epoch,
        "records": [asdict(record) for record in state.records],
    }
    replace_file(folder / "state.json", lambda path: path.write_text(json.dumps(record), encoding="utf-8"))
    for old in folder.glob("epoch-*.safetensors"):
        if old.name != name:
            old.unlink()


def _load(folder: Path, model: Generator, optimizer: torch.optim.Optimizer) -> tuple[_State, dict[str, Tensor]]:
    record = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / record["tensors"])
    part = {
        kind: {name.removeprefix(f"{kind}."): t for name, t in tensors.items() if name.startswith(f"{kind}.")}
        for kind in ("model", "best", "optimizer")
    }
    model.load_state_dict(part["model"])
    slots: dict[int, dict[str, Tensor]] = {}
    for key, tensor in part["optimizer"].items():
        number, slot = key.split(".", 1)
        slots.setdefault(int(number), {})[slot] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    return _State([EpochRecord(**entry) for entry in record["records"]], record["best_epoch"]), part["best"]
