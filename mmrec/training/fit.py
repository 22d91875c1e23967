"""Fits a bundle on a dataset folder: embed, fuse, quantise, train, fit channel weights, evaluate, publish.

Each stage's result is kept in the work folder beside the key of what that stage reads. So the same command after a kill
goes on where it stopped and makes the same bundle, and another command does the stages that it changes and those after
them. Frozen vectors stay there when the bundle is published, for the next fit.
"""

# Axes: N items, D fused dimensions, P levels of a semantic ID, U users

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

import mmrec
from mmrec.bundle import BundleWriter, open_bundle
from mmrec.catalogue.segments import Segmented
from mmrec.channels.blend import Blend
from mmrec.channels.lexical import build_lexical_index
from mmrec.channels.lsa_projection import fit_lsa_projection
from mmrec.channels.transitions import count_transitions
from mmrec.contract.items import Versions
from mmrec.data.dataset import Dataset, read_dataset
from mmrec.data.splits import LeaveOneOut
from mmrec.data.summary import DatasetSummary
from mmrec.data.word_columns import find_words
from mmrec.evaluation.metrics import MetricRow
from mmrec.evaluation.relabelling import relabel_catalogue, relabel_interactions, shuffled_rows
from mmrec.generator.model import Generator
from mmrec.generator.sentence_bank import SentenceBank
from mmrec.generator.sentence_training import train_sentences
from mmrec.generator.training import TrainingData, train_generator
from mmrec.generator.training_log import EpochRecord, TrainingResult
from mmrec.generator.validation import ValidationSet
from mmrec.language.dictionary import read_wordnet
from mmrec.language.value_reader import ValueReader, fit_value_reader
from mmrec.language.wish_prompts import WishPrompts
from mmrec.language.wishes import OTHER_WORDINGS, make_described_wishes, make_wishes
from mmrec.ratings.fitting import fit_rating_model
from mmrec.ratings.model import RatingModel
from mmrec.recommender.artefact import (
    ENCODERS,
    HOLDS_CHANGES,
    HOLDS_DELETIONS,
    HOLDS_EVENTS,
    IGNORE_TYPES,
    INSTRUCTED,
    REJECTED_BELOW,
    Parts,
    write_parts,
)
from mmrec.recommender.ranking_model import CHANNELS, INSTRUCTED_CHANNELS, WISH, Histories, RankingModel
from mmrec.runtime.device import resolve_device, resolve_dtype
from mmrec.runtime.disk_errors import RESUME_HINT, refusals_as_errors
from mmrec.runtime.limits import check_numbers
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.runtime.side_process import SideProcess
from mmrec.runtime.trainer import TrainingRun
from mmrec.semantic_ids.decode_index import build_decode_index
from mmrec.semantic_ids.report import TokenReport, categorical_columns, report_tokens
from mmrec.semantic_ids.tokenizer import fit_tokenizer, tokenizer_from_tensors
from mmrec.training.config import FitConfig
from mmrec.training.encoding import KEPT, Encoded, encode_dataset, keep_thumbnails, number_settings
from mmrec.training.evaluation import BLENDS, Evaluation, chosen_questions, evaluate, fit_blends
from mmrec.training.instruction_tuning import InstructionSet, InstructionTuning, TaskFigures, read_instructions
from mmrec.training.item_inputs import build_item_table
from mmrec.training.modality import Modality, visible
from mmrec.training.model_card import model_card
from mmrec.training.ratings import rating_rows, split_ratings
from mmrec.training.splitting import split_events, without_events
from mmrec.training.stage_keys import (
    array_digest,
    events_digest,
    folder_digest,
    pictures_digest,
    questions_digest,
    stage_key,
    texts_digest,
)
from mmrec.training.starting import start_generator, started_config
from mmrec.training.work_folder import WORK, WorkFolder, dataset_fingerprint
from mmrec_encoders.fusion import Fusion, ItemFeatures
from mmrec_encoders.fusion_training import train_fusion
from mmrec_encoders.item_encoder import ItemEncoder, WhenUsed
from mmrec_encoders.item_encoder_files import save_item_encoder
from mmrec_encoders.presets import build_encoders
from mmrec_encoders.training import following_pairs

NO_EVENTS = (
    "the dataset has no events: the LLM is not trained and nothing is evaluated; items are recommended by their "
    "content alone"
)
CONTENT_ALONE = {"content": 1.0, "lexical": 0.5}
"""Channel weights of a catalogue without a single event."""
MOST_BESIDE = 5_000
"""Most items of a catalogue whose fits with one modality run in a process beside the main one, for which the memory is
then needed twice."""


@dataclass(frozen=True, slots=True)
class FitRun:
    """How one fit is run, which changes nothing of what it makes.

    Attributes:
        cache: Folder of vectors computed before, by this or other fits and embedding jobs; None for one beside the
            bundle's versions.
        log_dir: Folder for TensorBoard's event files of the training; None for none.
        holds_changes: The dataset holds the changes of the live catalogue up to this number, the one at the end of the
            catalogue's version from which it was taken; a server then replays only later ones onto the bundle. None:
            not said.
        holds_events: The dataset holds the events of a store up to this number; a server then replays only later ones.
            None: it holds none.
        holds_deletions: The dataset has nothing that this store deleted of customers, up to this number of a deletion;
            a server then uses what the bundle has of them, which came later. None: not said.
        fresh: Start every stage anew, whatever earlier fits have left in the bundle folder.
    """

    cache: Path | None = None
    log_dir: Path | None = None
    holds_changes: int | None = None
    holds_events: int | None = None
    holds_deletions: int | None = None
    fresh: bool = False

    def __post_init__(self) -> None:
        check_numbers(self, "holds_changes", "holds_events", "holds_deletions", low=0)


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a fit made.

    Attributes:
        bundle: The bundle's root folder.
        version: Folder of the published version.
        evaluation: Metrics on the test questions.
        tokens: What the semantic IDs look like.
        epochs: Training curve of the LLM.
        best_epoch: The one whose weights are served.
        unreadable: Pictures that could not be read; their items have words only.
        bare: Items with neither words nor a picture that could be read: similar items and searches leave them out.
        seconds: Wall time of this run by stage.
        tasks: How instructions of the test are answered; empty where the LLM was trained on none.
        summary: What became of the rows of the dataset.
    """

    bundle: Path
    version: Path
    evaluation: Evaluation
    tokens: TokenReport
    epochs: tuple[EpochRecord, ...]
    best_epoch: int
    unreadable: int
    bare: int
    seconds: dict[str, float]
    summary: DatasetSummary
    tasks: tuple[TaskFigures, ...] = ()


class _Job(NamedTuple):
    """What every stage needs; `pictures` is the digest of the dataset's pictures, `instructions` what the LLM learns
    after histories, None for nothing.
    """

    data: Dataset
    split: LeaveOneOut
    config: FitConfig
    processes: Processes
    progress: Progress
    run: FitRun
    pictures: str
    instructions: InstructionSet | None


class _Trained(NamedTuple):
    """Parts without blends; `sentences` are those that the LLM learned to read, None where it reads none."""

    parts: Parts
    sentences: SentenceBank | None
    tasks: tuple[TaskFigures, ...]
    fusion: Fusion
    features: ItemFeatures
    result: TrainingResult


class _Ranking(NamedTuple):
    ranker: RankingModel
    blends: dict[str, Blend]
    trained: _Trained


class _Made(NamedTuple):
    """What a fit publishes."""

    encoded: Encoded
    ranking: _Ranking
    evaluation: Evaluation
    tokens: TokenReport
    thumbnails: npt.NDArray[np.uint8] | None


class _Clock:
    """Wall time by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now


def fit_dataset(
    dataset: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: FitConfig | None = None,
    progress: Progress = NO_PROGRESS,
    *,
    run: FitRun | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> FitResult:
    """Fit a bundle on a dataset folder.

    With several processes (torchrun, accelerate launch), all of them must call this with the same arguments. They train
    the LLM together; the first process does everything else, and is the only one that writes and prints.

    Args:
        dataset: Folder with items, events and pictures.
        out: Bundle folder; made if it is not there, and given a new version if it is.
        config: What to do; None for the `embedded` preset.
        progress: Reports every stage.
        run: Where vectors are cached, what is logged, and whether it starts anew.
        note: Called with sentences, before the work begins, which rows are not used and what looks wrong in the others.

    Returns:
        The same in every process.

    Raises:
        InvalidDatasetError: the dataset cannot be used, or has too few events to hold any out.
        FailedPreconditionError: another fit is writing to `out`, or the disk is full or refuses otherwise.
        ModelNotAvailableError: a model can be neither found nor fetched.
        StoppedError: SIGTERM came while the LLM was trained; what was done is saved.
    """
    with refusals_as_errors(RESUME_HINT, Path(out)):
        return _fit(dataset, Path(out), config or FitConfig(), progress, run or FitRun(), note)


def _fit(
    dataset: str | os.PathLike[str],
    out: Path,
    config: FitConfig,
    progress: Progress,
    run: FitRun,
    note: Callable[[str], None],
) -> FitResult:
    resolve_dtype(config.dtype, resolve_device(config.device))
    clock = _Clock()
    data = read_dataset(dataset, require=config.require, max_left_out=config.max_left_out, min_rating=config.min_rating)
    for line in data.notes:
        note(line)
    config = replace(config, words=find_words(data.catalogue, data.settings.words, config.template))
    if config.relabel_ids:
        data = _relabelled(data, config.seed)
    if data.interactions.events:
        split = split_events(data.interactions, config.split, data.root)
    else:
        note(NO_EVENTS)
        split = without_events(data.interactions)
        config = replace(config, compare_modalities=False)  # there are no questions to compare them on
    key = {
        "mmrec": mmrec.__version__,
        "dataset": dataset_fingerprint(data.root),
        "config": asdict(config),
        "device": str(resolve_device(config.device)),
    }
    instructions = None
    if config.instructions.folder and split.train.events:
        instructions = read_instructions(Path(config.instructions.folder), data.catalogue, split)
        key["instructions"] = instructions.digest
    dictionary = read_wordnet(Path(config.dictionary)) if config.dictionary else None
    if config.encoders_from:
        key["encoders"] = open_bundle(config.encoders_from).version
    if config.start_from:
        start = open_bundle(config.start_from)
        config = replace(config, generator=started_config(config.generator, start))
        key["start"] = start.version
    processes = Processes(config.device)
    if not processes.is_main:
        progress = NO_PROGRESS
    job = _Job(data, split, config, processes, progress, run, "", instructions)
    work = WorkFolder(out / WORK, progress)
    if not processes.is_main:
        return _help(job, work)
    with BundleWriter(out, preset=config.preset, name=data.name) as writer, ExitStack() as stack:
        work.tidy()
        if run.fresh:
            work.clear()
        clock.lap("read")
        pictures = pictures_digest(data.catalogue.images, data.pictures, progress) if any(data.catalogue.images) else ""
        job = job._replace(pictures=str(processes.broadcast(pictures)))
        with processes.main_first():
            encoded = encode_dataset(data, job.pictures, config, work, progress, run.cache)
            clock.lap("embed")
        modality_rows = stack.enter_context(_modality_rows_beside(job, encoded, work))
        trained = _train(job, encoded, work, clock)
        reader = _value_reader(job, encoded)
        trained = trained._replace(parts=trained.parts._replace(value_reader=reader, dictionary=dictionary))
        clock.lap("learn values")
        ranking = _weigh(job, encoded, trained, clock)
        evaluation = Evaluation((), 0, len(data.catalogue))
        if split.train.events:
            asked, of = chosen_questions(split.test, len(data.catalogue)), len(split.test.targets_U)
            evaluation = evaluate(ranking.ranker, ranking.blends, split.train, asked, progress, of=of)
        clock.lap("evaluate")
        ranking, evaluation = _predict_ratings(job, ranking, evaluation, work)
        clock.lap("learn ratings")
        thumbnails = keep_thumbnails(data, job.pictures, config, work, progress)
        parts = ranking.ranker.parts
        categories = categorical_columns(data.catalogue.attributes)
        tokens = report_tokens(
            parts.semantic_ids_NP.whole(), parts.tokenizer.widths, split.train, categories, seed=config.seed
        )
        if config.compare_modalities:
            evaluation = replace(evaluation, rows=(*evaluation.rows, *modality_rows()))
            clock.lap("compare modalities")
        version = _publish(writer, job, work, _Made(encoded, ranking, evaluation, tokens, thumbnails), key)
        clock.lap("publish")
        work.keep(KEPT)
    result = FitResult(
        bundle=out,
        version=version,
        evaluation=evaluation,
        tokens=tokens,
        epochs=ranking.trained.result.epochs,
        best_epoch=ranking.trained.result.best_epoch,
        unreadable=encoded.unreadable,
        bare=int(np.count_nonzero(~(encoded.features.has_image_N | encoded.features.has_text_N))),
        seconds=clock.seconds,
        summary=data.summary,
        tasks=ranking.trained.tasks,
    )
    return processes.broadcast(result)


def _help(job: _Job, work: WorkFolder) -> FitResult:
    """The part of the other processes of a group: train together, on the stages that the first one stored."""
    config = replace(job.config, device=str(job.processes.device))
    job = job._replace(config=config, pictures=str(job.processes.broadcast(None)))
    with job.processes.main_first():
        encoded = encode_dataset(job.data, job.pictures, config, work, NO_PROGRESS, job.run.cache)
    clock = _Clock()
    _train(job, encoded, work, clock)
    if config.compare_modalities:
        for name, hidden in _modalities(job):
            _train(hidden, encoded, work.sub(name), clock)
    return job.processes.broadcast(None)


def _relabelled(data: Dataset, seed: int) -> Dataset:
    new_rows_N = shuffled_rows(len(data.catalogue), seed)
    return dataclasses.replace(
        data,
        catalogue=relabel_catalogue(data.catalogue, new_rows_N, seed),
        interactions=relabel_interactions(data.interactions, new_rows_N),
        rejected=relabel_interactions(data.rejected, new_rows_N),
        rated=relabel_interactions(data.rated, new_rows_N),
    )


# --- stages -----------------------------------------------------------------------------------------------------------


def _train(job: _Job, encoded: Encoded, work: WorkFolder, clock: _Clock) -> _Trained:
    """Fuse, quantise and train; all processes of a group come here together."""
    config, split, data = job.config, job.split, job.data
    device = job.processes.device
    features = visible(encoded.features, config.modality)
    events = events_digest(split.train)
    with job.processes.main_first():
        fusion, fusion_key = _fusion(job, encoded, features, work)
        fused_ND = fusion.fuse(features)
        clock.lap("fuse")

        def tokenize() -> dict[str, npt.NDArray[Any]]:
            fitted = fit_tokenizer(fused_ND, split.train, config.tokenizer, seed=config.seed)
            return {"semantic_ids": fitted.semantic_ids_NP} | fitted.tokenizer.tensors()

        tokens_key = stage_key(
            "tokens", fusion=fusion_key, events=events, config=asdict(config.tokenizer), seed=config.seed
        )
        tokens = work.tensors("tokens", tokens_key, tokenize)
    index = build_decode_index(tokens["semantic_ids"]).to(device)
    clock.lap("quantise")

    items = len(data.catalogue)
    popularity_N = RankingModel.popularity_of(split.train, items)
    transitions = count_transitions(split.train, items, config.channels.transitions)
    texts = data.catalogue.texts(config.words)
    lexical = build_lexical_index(texts, config.channels.lexical)
    sketch = fit_lsa_projection(lexical.rows, config.generator.sketch, seed=config.seed)
    table = build_item_table(
        fused_ND,
        tokens["semantic_ids"],
        popularity_N,
        transitions,
        config.channels.transitions,
        lexical,
        sketch,
        config.generator,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        generator = Generator(config.generator, table, index.widths)
    if config.start_from:
        start_generator(generator, open_bundle(config.start_from), fused_ND.shape[1])
    generator.to(device)
    run = TrainingRun(
        job.processes,
        resolve_dtype(config.dtype, device),
        job.progress,
        checkpoint=work.folder / "generator" / "training.safetensors",
        identity=stage_key(
            "generator",
            tokens=tokens_key,
            events=events,
            validation=questions_digest(split.validation),
            texts=texts_digest(texts, data.catalogue.has_words(config.words)),
            channels=asdict(config.channels),
            config=asdict(config.generator),
            pretrained=folder_digest(config.generator.pretrained),
            start=open_bundle(config.start_from).version if config.start_from else "",
            numbers=number_settings(config),
        ),
        log_dir=job.run.log_dir,
    )
    histories = [split.train.history(user) for user in range(split.train.users)]
    validation = ValidationSet(split.validation.histories, split.validation.targets_U)
    result = TrainingResult((), 0)
    if split.train.events:
        result = train_generator(
            generator, TrainingData(index, histories, validation), config.training, run, seed=config.seed
        )
    clock.lap("train")
    tasks: tuple[TaskFigures, ...] = ()
    prompts: WishPrompts | None = None
    if job.instructions is not None and config.modality == "both":
        run = replace(
            run,
            identity=f"{run.identity} {job.instructions.digest} {encoded.encoder.text.fingerprint}",
            checkpoint=work.folder / "generator" / "instructions.safetensors",
            log_dir=None,
        )
        tasks, prompts = _instructions(
            job, encoded, generator, job.instructions, TrainingData(index, histories, validation), run
        )
    clock.lap("train on instructions")
    sentences = _sentences(job, encoded, generator, histories, run, work)
    clock.lap("train sentences")

    parts = Parts(
        catalogue=data.catalogue,
        interactions=data.interactions,
        fused_ND=Segmented(fused_ND),
        semantic_ids_NP=Segmented(tokens["semantic_ids"]),
        decode_index=index,
        tokenizer=tokenizer_from_tensors(tokens),
        generator=generator,
        transitions=transitions,
        transitions_wide=count_transitions(split.train, items, config.channels.transitions_wide),
        lexical=lexical,
        sketch=sketch,
        popularity_N=popularity_N,
        channels=config.channels,
        blends={},
        beam_width=config.beam_width,
        candidates=config.candidates,
        rejected=data.rejected,
        prompts=prompts,
    )
    return _Trained(parts, sentences, tasks, fusion, features, result)


def _instructions(
    job: _Job, encoded: Encoded, generator: Generator, found: InstructionSet, known: TrainingData, run: TrainingRun
) -> tuple[tuple[TaskFigures, ...], WishPrompts | None]:
    """Train the LLM on all tasks of an instruction set together, measure it, and say how wishes are put to it."""
    config, text = job.config, encoded.encoder.text
    settings = config.instructions
    tuning = InstructionTuning(generator, found, job.data.catalogue, lambda texts: text.encode(texts, query=True))
    tuning.train(known.histories, known.index, settings.training, config.training, run, seed=config.seed)
    return tuple(tuning.evaluate(job.split, settings.questions)), tuning.prompts


def _sentences(
    job: _Job, encoded: Encoded, generator: Generator, histories: Histories, run: TrainingRun, work: WorkFolder
) -> SentenceBank | None:
    """Teach the trained LLM to read sentences; None where it is not to, or there is nothing to say about items."""
    config, data = job.config, job.data
    untrained = config.generator.pretrained or not job.split.train.events
    if untrained or not config.sentences.epochs or config.modality != "both":
        return None
    wishes = make_wishes(data.catalogue, config.sentences.most, seed=config.seed)
    if not wishes.sentences:
        return None
    text = encoded.encoder.text
    with job.processes.main_first():
        key = stage_key(
            "sentences",
            texts=hashlib.sha256("\0".join(wishes.sentences).encode("utf-8", "surrogatepass")).hexdigest(),
            model=text.fingerprint,
            numbers=number_settings(config),
        )
        vectors = work.tensors("sentences", key, lambda: {"vectors": text.encode(wishes.sentences, query=True)})
    bank = wishes.bank(vectors["vectors"])
    validation = ValidationSet(job.split.validation.histories, job.split.validation.targets_U)
    run = replace(
        run,
        identity=f"{run.identity} {key} {asdict(config.instructions.training)}",
        checkpoint=work.folder / "generator" / "sentences.safetensors",
        log_dir=None,
    )
    train_sentences(generator, histories, bank, validation, config.sentences, run, seed=config.seed)
    return bank


def _fusion(job: _Job, encoded: Encoded, features: ItemFeatures, work: WorkFolder) -> tuple[Fusion, str]:
    """The fusion, trained or loaded from the work folder or another bundle, and its key."""
    config, device = job.config, job.processes.device
    if encoded.fusion is not None:
        return encoded.fusion, stage_key("fusion", features=encoded.key, given=encoded.fusion.fingerprint)
    pairs_P2 = following_pairs(job.split.train)
    key = stage_key(
        "fusion",
        features=encoded.key,
        modality=config.modality,
        pairs=array_digest(pairs_P2),
        config=asdict(config.fusion),
        seed=config.seed,
        device=device.type,
    )
    found = work.load("fusion", key, lambda path: Fusion.load(path, device=device))
    if found is not None:
        return found, key
    fusion = train_fusion(
        features, pairs_P2, config.fusion, seed=config.seed, device=config.device, progress=job.progress
    )
    work.store("fusion", key, fusion.save)
    return fusion, key


def _value_reader(job: _Job, encoded: Encoded) -> ValueReader | None:
    """Learn which values of the columns sentences mean."""
    encode = partial(encoded.encoder.text.encode, query=True)
    return fit_value_reader(job.data.catalogue, encode, job.config.values, seed=job.config.seed)


def _weigh(
    job: _Job,
    encoded: Encoded,
    trained: _Trained,
    clock: _Clock,
    channels: Mapping[str, tuple[str, ...]] = BLENDS,
) -> _Ranking:
    """Fit the channels' weights in some blends, and in that of requests with instructions where the LLM reads them."""
    device = job.processes.device
    ranker = RankingModel(trained.parts, device, resolve_dtype(job.config.dtype, device))
    if job.split.train.events:
        validation, config = job.split.validation, job.config
        blends = fit_blends(ranker, validation, config.blend, job.progress, blends=channels)
        bank = None
        if trained.sentences is not None or trained.parts.prompts is not None:
            bank = _other_wishes(job, encoded, trained) or trained.sentences
        if bank is not None:
            blends |= fit_blends(
                ranker,
                validation,
                config.blend,
                job.progress,
                blends={INSTRUCTED: INSTRUCTED_CHANNELS},
                bank=bank,
                favoured=WISH,
                seed=config.seed,
            )
    else:
        blends = {name: Blend(dict.fromkeys(CHANNELS, 0.0) | CONTENT_ALONE) for name in channels}
    ranker.parts = trained.parts._replace(blends=blends)
    clock.lap("weigh")
    return _Ranking(ranker, blends, trained)


def _other_wishes(job: _Job, encoded: Encoded, trained: _Trained) -> SentenceBank | None:
    """Wishes like those that weights matter for; None where there are none.

    What names a value becomes a condition when it is served, so these hold other words too, as far as the catalogue's
    descriptions go; else they are in wordings that nothing was trained on.
    """
    config, catalogue, reader = job.config, job.data.catalogue, trained.parts.value_reader
    columns = [model.column for model in reader.models] if reader is not None else []
    wishes = make_described_wishes(catalogue, columns, seed=config.seed)
    if not wishes.sentences:
        most, seed = config.sentences.most, config.seed
        wishes = make_wishes(catalogue, most, wordings=OTHER_WORDINGS, own_words=False, seed=seed)
    return wishes.bank(encoded.encoder.text.encode(wishes.sentences, query=True)) if wishes.sentences else None


def _predict_ratings(
    job: _Job, ranking: _Ranking, evaluation: Evaluation, work: WorkFolder
) -> tuple[_Ranking, Evaluation]:
    """Learn to predict ratings, where there are enough, and measure it."""
    data, config, parts = job.data, job.config, ranking.ranker.parts
    split = split_ratings(data.rated, config.split, data.interactions, job.split)
    if split is None:
        return ranking, evaluation
    content_NC = parts.generator.catalogue.table().content_NC.cpu().numpy()
    learned = split.rated.where(split.learned_E)
    validation_E = split.validation_E[split.learned_E]

    key = stage_key(
        "ratings",
        ratings=events_digest(learned),
        validation=array_digest(validation_E),
        content=array_digest(content_NC),
        config=asdict(config.ratings),
        seed=config.seed,
    )
    model = work.load("ratings", key, RatingModel.load)
    if model is None:
        model = fit_rating_model(
            learned, validation_E, content_NC, config.ratings, seed=config.seed, progress=job.progress
        )
        work.store("ratings", key, model.save)
    ranking.ranker.parts = parts._replace(rated=data.rated, rating_model=model)
    return ranking, replace(evaluation, ratings=rating_rows(model, split, content_NC))


def _modalities(job: _Job) -> list[tuple[str, _Job]]:
    """The same job with one modality hidden, words in the lexical channel included."""
    jobs = []
    modalities: tuple[Modality, ...] = ("picture", "words")
    for modality in modalities:
        name = f"{modality}-only"
        data = job.data
        if modality == "picture":
            blank = ("",) * len(data.catalogue)
            # A template may name them.
            attributes = dict.fromkeys(data.catalogue.attributes, blank)
            catalogue = dataclasses.replace(data.catalogue, titles=blank, descriptions=blank, attributes=attributes)
            data = dataclasses.replace(data, catalogue=catalogue)
        run = replace(job.run, log_dir=job.run.log_dir / name if job.run.log_dir else None)
        jobs.append((name, job._replace(data=data, config=replace(job.config, modality=modality), run=run)))
    return jobs


def _modality_rows(job: _Job, encoded: Encoded, work: WorkFolder) -> list[MetricRow]:
    """Metrics of the recommender with one modality hidden."""
    rows = []
    for name, hidden in _modalities(job):
        trained, fused = _train(hidden, encoded, work.sub(name), _Clock()), {"fused": BLENDS["fused"]}
        ranking = _weigh(hidden, encoded, trained, _Clock(), fused)
        asked = chosen_questions(job.split.test, len(job.data.catalogue))
        result = evaluate(ranking.ranker, ranking.blends, job.split.train, asked, job.progress, only_fused=True)
        rows += [replace(row, name=name) for row in result.rows]
    return rows


@contextmanager
def _modality_rows_beside(job: _Job, encoded: Encoded, work: WorkFolder) -> Iterator[Callable[[], list[MetricRow]]]:
    """`_modality_rows` to be called at the end of the block, computed meanwhile if the fit has small steps on a CPU.

    Two threads hardly make small steps faster, so the second one is better used by a process of its own.
    """
    threads, device, alone = torch.get_num_threads(), job.processes.device, partial(_modality_rows, job, encoded, work)
    wanted = job.config.compare_modalities and job.processes.count == 1 and device.type == "cpu"
    if not wanted or threads == 1 or len(job.data.catalogue) > MOST_BESIDE:
        yield alone
        return
    quiet = job._replace(processes=Processes.alone(device), progress=NO_PROGRESS, instructions=None)
    frozen = (encoded.features, encoded.unreadable, encoded.key, encoded.fusion)
    with SideProcess(_modality_rows_of_side, quiet, frozen, WorkFolder(work.folder)) as side:

        def rows() -> list[MetricRow]:
            torch.set_num_threads(threads)
            job.progress.start("waiting for the fits with pictures alone and with words alone")
            found = side.result()
            job.progress.finish()
            return alone() if found is None else found

        torch.set_num_threads(threads - 1)
        try:
            yield rows
        finally:
            torch.set_num_threads(threads)


def _modality_rows_of_side(
    job: _Job, frozen: tuple[ItemFeatures, int, str, Fusion | None], work: WorkFolder
) -> list[MetricRow]:
    """`_modality_rows` in a process of one thread, without the encoders."""
    torch.set_num_threads(1)
    text = WhenUsed(lambda: build_encoders(job.config.preset, job.config.device, job.config.dtype).text)
    return _modality_rows(job, Encoded(ItemEncoder(None, text), *frozen), work)


# --- publication ------------------------------------------------------------------------------------------------------


def _publish(writer: BundleWriter, job: _Job, work: WorkFolder, made: _Made, key: dict[str, Any]) -> Path:
    data, config = job.data, job.config
    ranking, evaluation, tokens = made.ranking, made.evaluation, made.tokens
    parts, training = ranking.ranker.parts, ranking.trained.result
    index = write_parts(writer, parts, ranking.trained.features, made.thumbnails, job.progress)
    encoder = made.encoded.encoder.with_fusion(ranking.trained.fusion)
    save_item_encoder(encoder, writer.path(f"{ENCODERS}/encoders.json").parent)
    metrics = evaluation.as_json() | {
        "split": config.split,
        "best_epoch": training.best_epoch,
        "epochs": [asdict(record) for record in training.epochs],
        "index": asdict(index),
        "tokens": tokens.as_json(),
        "tasks": [figures.as_json() for figures in ranking.trained.tasks],
    }
    writer.write_json("metrics.json", metrics)
    if training.epochs:
        shutil.copyfile(work.folder / "generator" / "curves.png", writer.path("curves.png"))
    versions = Versions(
        model=_short_hash(json.dumps(key, sort_keys=True)),
        catalogue=_short_hash(key["dataset"]),
        codebook=_short_hash(b"".join(tensor.tobytes() for _, tensor in sorted(parts.tokenizer.tensors().items()))),
    )
    card = model_card(data, config, parts, evaluation, training, tokens, versions, ranking.trained.tasks)
    writer.write_text("MODEL_CARD.md", card)
    parameters = {
        "config": asdict(config),
        "dataset": key["dataset"],
        "dataset_rows": asdict(data.summary),
        IGNORE_TYPES: data.settings.events.ignore_types,
        REJECTED_BELOW: data.rejected_below,
    }
    run = job.run
    holds = {HOLDS_CHANGES: run.holds_changes, HOLDS_EVENTS: run.holds_events, HOLDS_DELETIONS: run.holds_deletions}
    parameters |= {name: number for name, number in holds.items() if number is not None}
    return writer.commit(versions=versions, parameters=parameters)


def _short_hash(content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:12]
