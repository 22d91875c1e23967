"""Configuration and summary of an embedding job."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mmrec.data.fetching import FetchConfig
from mmrec.errors import InvalidArgumentError
from mmrec.runtime.limits import check_choice, check_numbers
from mmrec_encoders.embedding.encoding import Counts
from mmrec_encoders.embedding.shards import STORES
from mmrec_encoders.embedding.windows import DeadLetter
from mmrec_encoders.training import ItemEncoderConfig

VECTORS = ("fused", "image", "text")
ENGINES = ("local", "ray")
_MOST_WORKERS = 256


@dataclass(frozen=True, slots=True)
class EmbedConfig:
    """Configuration of an embedding job.

    Attributes:
        bundle: A bundle whose encoders are used.
        encoders: Instead of a bundle, a folder written by `save_item_encoder`, such as ``_encoders`` of another job.
            With neither, encoders for fused vectors are trained on the catalogue first.
        preset: Preset of the encoders if there is neither.
        image_model: Image model instead of the preset's; or the new location of the bundle's image model.
        text_model: Likewise for the text model.
        template: Template of an item's text. None: as in the bundle or the encoders, or as ``dataset.toml`` says, or
            title, description and the attributes that are words (see `mmrec.data.word_columns`), chosen from the items
            trained on or else from the first 10,000.
        vectors: ``fused``, or ``image`` or ``text`` for the frozen vectors of one modality.
        dimension: Length of fused vectors; 0 for full length, else a prefix that the fusion was trained for.
        store: Number format in the files: ``float32`` or ``float16``.
        shard_rows: Rows of the items table per shard, 1 to 1,000,000. At most one shard is lost by a kill. The rows of
            two or three shards are in memory, with their encoded pictures if the table contains them.
        workers: Processes that read and decode pictures; 0 for none, None to choose by the number of cores.
        cache: Folder of the vector cache; None for ``.cache`` in the output folder.
        fetch: Rules for fetching pictures by URL; None fetches nothing.
        overwrite: Whether to replace the output of another job in the output folder.
        engine: ``local``, or ``ray`` for Ray Data.
        ray_address: Address of a Ray cluster; '' starts one on this machine.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: Number format of computing: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        compile: Compile the models with `torch.compile`: slow at first, for large catalogues on a GPU.
        batch_pixels: Pixels per forward pass of the image model; 0 to choose by device.
        batch_tokens: Approximate tokens per call of the text encoder, which splits them into forward passes; 0 to
            choose by device.
        seed: Seed of training.
        training: Training configuration, if there is neither a bundle nor encoders.
        training_items: Most items to train on, sampled from the whole catalogue; about 20 kB of memory each.
    """

    bundle: Path | None = None
    encoders: Path | None = None
    preset: str = "embedded"
    image_model: str | None = None
    text_model: str | None = None
    template: str | None = None
    vectors: str = "fused"
    dimension: int = 0
    store: str = "float32"
    shard_rows: int = 4096
    workers: int | None = None
    cache: Path | None = None
    fetch: FetchConfig | None = None
    overwrite: bool = False
    engine: str = "local"
    ray_address: str = ""
    device: str = "auto"
    dtype: str = "auto"
    compile: bool = False
    batch_pixels: int = 0
    batch_tokens: int = 0
    seed: int = 0
    training: ItemEncoderConfig = field(default_factory=ItemEncoderConfig)
    training_items: int = 20_000

    def __post_init__(self) -> None:
        check_choice("vectors", self.vectors, VECTORS)
        check_choice("store", self.store, STORES)
        check_choice("engine", self.engine, ENGINES)
        check_numbers(self, "shard_rows", low=1, high=1_000_000)
        check_numbers(self, "workers", low=0, high=_MOST_WORKERS)
        check_numbers(self, "batch_pixels", low=0, high=10**10)
        check_numbers(self, "batch_tokens", low=0, high=10**8)
        check_numbers(self, "training_items", low=2, high=10_000_000)
        if self.bundle is not None and self.encoders is not None:
            raise InvalidArgumentError(
                f"bundle is {str(self.bundle)!r} and encoders is {str(self.encoders)!r}; pass one of them",
                field="encoders",
            )
        if self.vectors != "fused" and self.dimension:
            raise InvalidArgumentError(
                f"dimension is {self.dimension}, but vectors of one modality cannot be shortened; leave it out",
                field="dimension",
            )
        fusion = self.training.fusion
        lengths = (0, *fusion.prefixes, fusion.dimension)
        if self.trains and self.dimension not in lengths:
            raise InvalidArgumentError(
                f"dimension is {self.dimension}; it must be one of {', '.join(map(str, lengths))} (0 means all)",
                field="dimension",
            )
        if self.trains and self.template is not None and self.training.template is not None:
            raise InvalidArgumentError("template is given twice; leave it out of training", field="template")

    @property
    def trains(self) -> bool:
        """Whether encoders must be trained first."""
        return self.vectors == "fused" and self.bundle is None and self.encoders is None


@dataclass(frozen=True, slots=True)
class EmbedSummary:
    """Summary of a run.

    Attributes:
        path: The output folder.
        finished: Whether all shards are written; False after a stop.
        rows: Rows of the items table that were read.
        items: Items with a vector.
        with_picture: Items whose vector includes a picture.
        with_words: Items whose vector includes words.
        failed: Number of entries in the dead-letter file.
        examples: The first of these entries.
        dimension: Length of a vector.
        fingerprints: Fingerprints of models, preparation and words, on which the vectors depend.
        shards: Number of shards.
        shards_written: Shards written by this run; the others were up to date.
        counts: How many vectors were encoded, repeated, or taken from the cache.
    """

    path: Path
    finished: bool
    rows: int
    items: int
    with_picture: int
    with_words: int
    failed: int
    examples: tuple[DeadLetter, ...]
    dimension: int
    fingerprints: dict[str, str]
    shards: int
    shards_written: int
    counts: Counts

    @property
    def work(self) -> str:
        """A sentence with the counts."""
        counts = self.counts
        text = (
            f"{self.rows:,} rows: {counts.pictures_encoded:,} pictures and {counts.texts_encoded:,} texts encoded, "
            f"{counts.pictures_known:,} + {counts.texts_known:,} taken from earlier runs"
        )
        if counts.pictures_repeated or counts.texts_repeated:
            text += f", {counts.pictures_repeated:,} + {counts.texts_repeated:,} repeated"
        return text
