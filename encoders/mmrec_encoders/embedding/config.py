"""What is asked of an embedding job, and what it reports. Knows nothing about how it is done."""

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
    """What embeds, and what comes out.

    Attributes:
        bundle: A bundle whose encoders are used.
        encoders: Instead of a bundle, a folder that `save_item_encoder` wrote, such as ``_encoders`` of another job.
            With neither, fused vectors need encoders that are trained on the catalogue first.
        preset: Encoders to start from when there is neither.
        image_model: Instead of the preset's, or where the bundle's image model is now.
        text_model: Likewise for words.
        template: How an item's words are put together; None takes the words of the bundle or of the encoders, or those
            of ``dataset.toml``, or title, description and the attributes that are words (see `mmrec.data.word_columns`)
            by the items trained on or, where none are, by the first 10,000.
        vectors: ``fused``, or ``image`` or ``text`` for the frozen encoder's vectors of that side alone.
        dimension: Length of fused vectors; 0 for all, else a length the fusion was trained for.
        store: Number format in the files: ``float32`` or ``float16``.
        shard_rows: Rows of the items table per shard, 1 to 1,000,000. A kill costs one shard at most, and two or
            three shards' rows are in memory, with their encoded pictures where those are in the table.
        workers: Processes that read and decode pictures; 0 for none, None for as many as suit the machine.
        cache: Folder of vectors computed before; None for ``.cache`` in the output folder.
        fetch: From where pictures may be fetched by URL; None fetches nothing.
        overwrite: Whether what another job left in the output folder is replaced.
        engine: ``local``, or ``ray`` for Ray Data.
        ray_address: Of a Ray cluster; '' starts one on this machine.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: Number format of computing: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        compile: Compile the models with `torch.compile`: slow at first, for large catalogues on a GPU.
        batch_pixels: Pixels per pass of the image model; 0 for what suits the device.
        batch_tokens: About how many tokens per call of the text encoder, which has a budget of its own for one pass;
            0 for what suits the device.
        seed: Of training.
        training: How to train when there is no bundle.
        training_items: Most items that are trained on, drawn from the whole catalogue; about 20 kB of memory each.
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
                f"dimension is {self.dimension}, but vectors of one side alone cannot be shortened; leave it out",
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
        """Whether encoders are trained first."""
        return self.vectors == "fused" and self.bundle is None and self.encoders is None


@dataclass(frozen=True, slots=True)
class EmbedSummary:
    """What a run came to.

    Attributes:
        path: The output folder.
        finished: Whether every shard is there; False after a stop.
        rows: Rows of the items table that were looked at.
        items: Items with a vector.
        with_picture: Those with a picture in it.
        with_words: Those with words in it.
        failed: Entries of the dead-letter file.
        examples: The first of them.
        dimension: Length of a vector.
        fingerprints: What the vectors depend on, by part.
        shards: Shards that are there.
        shards_written: By this run; the others were there already, the same.
        counts: Where the vectors of this run came from.
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
        """In one sentence, what was computed and what was not."""
        counts = self.counts
        text = (
            f"{self.rows:,} rows: {counts.pictures_encoded:,} pictures and {counts.texts_encoded:,} texts encoded, "
            f"{counts.pictures_known:,} + {counts.texts_known:,} taken from earlier runs"
        )
        if counts.pictures_repeated or counts.texts_repeated:
            text += f", {counts.pictures_repeated:,} + {counts.texts_repeated:,} repeat others"
        return text
