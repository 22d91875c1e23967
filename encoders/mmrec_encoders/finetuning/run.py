"""From a dataset folder to a folder of fine-tuned encoders: read, split, prepare, score, train, score, publish.

Run by one process or by a group of them that share the output folder; the first one prepares, writes and reports.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from mmrec.data.dataset import Dataset, read_dataset
from mmrec.errors import InvalidArgumentError, InvalidDatasetError
from mmrec.runtime.device import resolve_dtype
from mmrec.runtime.disk_errors import RESUME_HINT, refusals_as_errors
from mmrec.runtime.files import replace_file
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.runtime.shutdown import Stoppable, StopRequest
from mmrec.runtime.trainer import Trainer, TrainerConfig, TrainingRun
from mmrec_encoders.finetuning.config import OWN_TOWERS, FinetuningConfig, finetuning_preset
from mmrec_encoders.finetuning.folder import WORK, finished, open_folder, publish, unpublish, work_folder
from mmrec_encoders.finetuning.open_clip import prepare_open_clip
from mmrec_encoders.finetuning.pairs import Pairs, data_hash, find_pairs
from mmrec_encoders.finetuning.report import FinetuningReport, figures_from_json, report_from_json, report_page
from mmrec_encoders.finetuning.scoring import HeldOutFigures
from mmrec_encoders.finetuning.setup import Prepared
from mmrec_encoders.finetuning.small_clip import prepare_small
from mmrec_encoders.finetuning.small_model import PRETRAINED
from mmrec_encoders.finetuning.task import ContrastiveTask, epoch_figures
from mmrec_encoders.finetuning.zero_shot import label_columns

_BATCH = {"efficientnet": 512, "small": 512, "full": 64, "locked-image": 512}
_STEPS_A_PASS = 8
_CHECKPOINT, _BEFORE = "checkpoint.safetensors", "before.json"


class _Job(NamedTuple):
    """One fine-tuning; the same in every process of the group."""

    data: Dataset
    pairs: Pairs
    columns: tuple[str, ...]
    folder: Path
    config: FinetuningConfig
    chunk: int
    run: TrainingRun


def finetune_encoders(
    dataset: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: FinetuningConfig | None = None,
    progress: Progress = NO_PROGRESS,
    *,
    max_left_out: float | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> FinetuningReport:
    """Train encoders contrastively on a catalogue's own pictures and words.

    The same call after a kill goes on where it was and ends with the same weights; after the end it returns the
    report at once. In a group of processes each calls it with the same arguments and gets the same report.

    Args:
        dataset: Dataset folder with items that have words and pictures.
        out: Folder for the result; ``--image-model`` takes it.
        config: What to train and how; None for a small CLIP from scratch.
        progress: Reports every stage.
        max_left_out: See `read_dataset`.
        note: Called with sentences, before the work begins, which rows are not used and what looks wrong in the others.

    Raises:
        InvalidDatasetError: too few items have words and a picture, or too few different titles.
        InvalidArgumentError: a column is not there, the batch is larger than the data, or `out` is something else.
        FailedPreconditionError: another process writes to `out`, the disk is full or refuses otherwise, or the loss is
            no longer a number.
        ModelNotAvailableError: a model can be neither found nor fetched.
        StoppedError: the process was asked to stop; what was done is saved.
    """
    config = config or finetuning_preset()
    started = time.monotonic()
    processes = Processes(config.device)
    dtype = resolve_dtype(config.dtype, processes.device)
    with ExitStack() as stack:
        stack.enter_context(refusals_as_errors(RESUME_HINT, Path(out)))
        stack.enter_context(open_folder(Path(out), writer=processes.is_main))
        stop = stack.enter_context(StopRequest())
        data = read_dataset(dataset, max_left_out=max_left_out)
        for line in data.notes if processes.is_main else ():
            note(line)
        stack.enter_context(data.pictures)
        pairs = find_pairs(data, config)
        chunk = _batch_size(config, len(pairs.training_rows), processes)
        job = _Job(
            data=data,
            pairs=pairs,
            columns=label_columns(data.catalogue, config.labels),
            folder=Path(out),
            config=config,
            chunk=chunk,
            run=TrainingRun(
                processes,
                dtype,
                progress if processes.is_main else NO_PROGRESS,
                checkpoint=Path(out) / WORK / _CHECKPOINT,
                identity=_identity(data, config, chunk, processes),
                stop=stop,
                started=started,
            ),
        )
        done = finished(job.folder, job.run.identity)
        # All processes must check before the main one changes the folder.
        processes.wait()
        if done is None:
            _finetune(job, Stoppable(job.run.progress, stop), stack)
            processes.wait()
            done = finished(job.folder, job.run.identity)
            assert done is not None, "the first process has just written it"
        else:
            job.run.progress.start("adapting")
            job.run.progress.finish(f"{job.folder} already holds what this data and configuration come to")
        return report_from_json(done["report"])


def _finetune(job: _Job, stoppable: Progress, stack: ExitStack) -> None:
    """Prepare, train and publish."""
    work, config, run = job.folder / WORK, job.config, job.run
    if run.processes.is_main:
        _, resumed = work_folder(job.folder, run.identity)
        if resumed:
            run.progress.start("going on where an earlier run stopped")
            run.progress.finish()
    run.processes.wait()
    prepare = prepare_small if config.mode in OWN_TOWERS else prepare_open_clip
    prepared = prepare(job.data, job.pairs, work, config, run.processes, stoppable)
    stack.callback(prepared.close)
    task = ContrastiveTask(config, prepared.model, prepared.pairs, job.chunk, run)
    _check_left(prepared.pairs, task.pairs_per_step)
    prepared.calibrate(task.pairs_per_step)
    trainer_config = TrainerConfig(
        epochs=config.epochs,
        weight_decay=config.weight_decay,
        betas=(0.9, config.beta2),
        clip_norm=config.clip_norm,
        rates={PRETRAINED: config.tower_rate},
        max_minutes=config.max_minutes,
        ema_decay=config.ema_decay,
        # The fused kernel takes values in the order of memory, which differs for larger kernels after a resume.
        fused=config.mode == "efficientnet",
        cut_pass=True,
        checkpoint_minutes=config.save_minutes,
    )
    trainer = Trainer(task, trainer_config, run)
    if run.processes.is_main:
        before = _before(work / _BEFORE, lambda: task.held_out(job.columns))
    run.processes.wait()
    run.progress.start("training", config.epochs * task.epoch_units, "pairs")
    at = trainer.fit()
    left_out = f", {at.skipped:,} steps left out for too large gradients" if at.skipped else ""
    run.progress.finish(task.describe([at.epochs[-1]["loss"]], at) + left_out)
    if run.processes.is_main:
        _publish(job, prepared, trainer, before, task.held_out(job.columns))


def _publish(job: _Job, prepared: Prepared, trainer: Trainer, before: HeldOutFigures, after: HeldOutFigures) -> None:
    unpublish(job.folder)
    fingerprints = prepared.save(job.folder)
    report = FinetuningReport(
        out=str(job.folder),
        mode=job.config.mode,
        pairs=len(prepared.pairs.training_rows),
        texts=len(prepared.pairs.train.texts),
        held_pictures=after.text_to_own_image.queries,
        held_titles=after.text_to_image.queries,
        batch=job.chunk * job.config.accumulate * job.run.processes.count,
        steps=trainer.at.total,
        unreadable=prepared.unreadable,
        before=before,
        after=after,
        epochs=epoch_figures(trainer.at),
        seconds=trainer.seconds,
        fingerprints=fingerprints,
        dataset_rows=job.data.summary,
    )
    description = {
        "identity": job.run.identity,
        "mode": job.config.mode,
        "config": asdict(job.config),
        "data": data_hash(job.data),
        "fingerprints": fingerprints,
        "report": report.as_json(),
    }
    publish(job.folder, description, report_page(report, job.data.name))


def _batch_size(config: FinetuningConfig, pairs: int, processes: Processes) -> int:
    """Pairs of a chunk: as configured, or the mode's default, smaller if there are too few pairs for several steps."""
    parts = config.accumulate * processes.count
    if not config.batch_size:
        return max(2, min(_BATCH[config.mode], pairs // (_STEPS_A_PASS * parts)))
    if config.batch_size * parts > pairs:
        raise InvalidArgumentError(
            f"batch_size {config.batch_size} x accumulate {config.accumulate} x {processes.count} processes are "
            f"{config.batch_size * parts:,} pairs a step, but there are {pairs:,} training pairs; pass a smaller batch",
            field="batch_size",
        )
    return config.batch_size


def _check_left(pairs: Pairs, step: int) -> None:
    training = len(pairs.training_rows)
    if training < step:
        raise InvalidDatasetError(
            f"{training:,} training pairs have a picture that can be read, but a step takes {step:,}; repair the "
            "pictures (mmrec check names them), or pass a smaller batch"
        )


def _identity(data: Dataset, config: FinetuningConfig, chunk: int, processes: Processes) -> str:
    """Hash of what the result depends on: the size of a step, but not the number of processes that share it."""
    settings = asdict(config)
    for name in ("save_minutes", "device", "accumulate", "batch_size"):
        del settings[name]
    settings |= {"chunk": chunk, "step": chunk * config.accumulate * processes.count, "device": processes.device.type}
    text = json.dumps([settings, data_hash(data)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _before(path: Path, figures: Callable[[], HeldOutFigures]) -> HeldOutFigures:
    """Figures before training, stored because a resumed run no longer has the initial weights."""
    try:
        return figures_from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        before = figures()
        text = json.dumps(asdict(before))
        replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return before
