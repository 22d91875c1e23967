"""The parts of a recommender and where each lies in a bundle: the one place that knows the file names.

Knows nothing about requests. Everything is Safetensors, Parquet, JSON or text.
"""

# Axes: N items, D fused dimensions, I picture dimensions, T words dimensions, P levels of a semantic ID, U users

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp
import tokenizers
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmrec.bundle import Bundle, BundleWriter
from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.segments import Segmented
from mmrec.channels.blend import Blend
from mmrec.channels.content import ContentConfig
from mmrec.channels.lexical import LexicalConfig, LexicalIndex, Vocabulary
from mmrec.channels.lsa_projection import LsaProjection
from mmrec.channels.transitions import WIDE, TransitionConfig, TransitionGraph, build_graph
from mmrec.data.interactions import Interactions
from mmrec.errors import BundleError, InvalidArgumentError, InvalidDatasetError
from mmrec.generator.backbone import Backbone, load_backbone, positions_of, save_backbone
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.item_tokens import RESIDUAL, ItemTable, Neighbours
from mmrec.generator.model import Generator
from mmrec.language.dictionary import Dictionary
from mmrec.language.value_reader import ValueReader
from mmrec.language.wish_prompts import WishPrompts
from mmrec.ratings.model import RatingModel
from mmrec.recommender.bundle_checks import check_indices, checked_array, checked_csr
from mmrec.recommender.live_rows import LiveRows
from mmrec.runtime.limits import check_numbers
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.semantic_ids.decode_index import DecodeIndex, build_decode_index
from mmrec.semantic_ids.semantic_ids import LAST_WIDTH
from mmrec.semantic_ids.tokenizer import Tokenizer, tokenizer_from_tensors
from mmrec.understanding.index_files import IndexDescription
from mmrec.understanding.vector_index import IndexConfig, VectorIndex, build_vector_index
from mmrec_encoders.fusion import ItemFeatures

CATALOGUE = "catalogue.parquet"
ALIVE = "alive.safetensors"
HISTORIES = "histories.parquet"
REJECTED = "rejected.parquet"
RATED = "ratings.parquet"
RATING_MODEL = "rating_model.safetensors"
EMBEDDINGS = "embeddings.safetensors"
TOKENS = "tokens.safetensors"
INDEX = "index"
THUMBNAILS = "thumbnails.safetensors"
GENERATOR = "generator"
WORD_TOKENIZER = f"{GENERATOR}/tokenizer.json"
ITEM_TABLE = "item_table.safetensors"
CHANNELS = "channels.safetensors"
SETTINGS = "settings.json"
TERMS = "terms.json"
WORDS = "words.safetensors"
VALUE_READER = "value_reader"
DICTIONARY = "dictionary.parquet"
DICTIONARY_NOTICE = "dictionary.txt"
ENCODERS = "encoders"
INSTRUCTED = "instructed"
"""Name of the blend for customers behind whose history the LLM reads a sentence."""
HOLDS_CHANGES = "holds_changes"
"""A manifest parameter: the last change of a live catalogue that the dataset of the fit includes."""
HOLDS_EVENTS = "holds_events"
"""A manifest parameter: the last event of a store that the histories of the bundle include."""
IGNORE_TYPES = "ignore_types"
"""A manifest parameter: the dataset's own types of events that are rejections; null for the usual ones."""
REJECTED_BELOW = "rejected_below"
"""Key of a manifest's parameters: the least rating that is no rejection; null where no rating is one."""
HOLDS_DELETIONS = "holds_deletions"
"""A manifest parameter: the last deletion of a store's customer that the histories of the bundle follow."""
_NOBODY = Interactions.empty()
CATALOGUE_FILES = (CATALOGUE, ALIVE, HISTORIES, REJECTED, EMBEDDINGS, TOKENS, f"{INDEX}.", THUMBNAILS)
"""Prefixes of files that depend on the catalogue; another catalogue has its own, or none."""


@dataclass(frozen=True, slots=True)
class ChannelConfigs:
    """How each counting channel reads a history."""

    transitions: TransitionConfig = field(default_factory=TransitionConfig)
    transitions_wide: TransitionConfig = WIDE
    lexical: LexicalConfig = field(default_factory=LexicalConfig)
    content: ContentConfig = field(default_factory=ContentConfig)


@dataclass(frozen=True, slots=True)
class CandidateConfig:
    """How many items each source proposes; 0: none.

    Attributes:
        exact_up_to: In a catalogue of at most so many items, every eligible item is a candidate.
        item_head: Items that the item head scores highest.
        transitions: Items that follow the history in training histories.
        transitions_wide: Likewise, anywhere in a history.
        lexical: Items with the words of the history.
        content: Items near the history in the fused space.
        popular: Items with the most training events.
        new: The latest items without training events.
        raised: Items of each promotion, and of each share of places.
    """

    exact_up_to: int = 20_000
    item_head: int = 500
    transitions: int = 300
    transitions_wide: int = 200
    lexical: int = 250
    content: int = 250
    popular: int = 200
    new: int = 100
    raised: int = 200

    def __post_init__(self) -> None:
        check_numbers(self, *(one.name for one in fields(self)), low=0)

    @property
    def total(self) -> int:
        """All budgets together."""
        budgets: dict[str, int] = asdict(self)
        return sum(budgets.values()) - self.exact_up_to


class Parts(NamedTuple):
    """Everything a recommender ranks with.

    Attributes:
        catalogue: The items.
        interactions: All events of all users, for stored histories and evaluation.
        fused_ND: Fused embeddings, unit norm. Shape: (N, D), float32.
        semantic_ids_NP: Unique paths. Shape: (N, P), int32.
        decode_index: Index over these paths, on any device.
        tokenizer: Gives new items their codes.
        generator: The LLM and its heads.
        transitions: Counts of training events.
        transitions_wide: Likewise, over a window as wide as most histories.
        lexical: TF-IDF rows.
        sketch: LSA projection of such rows, an input of the generator.
        popularity_N: Training events per item. Shape: (N,), float32.
        channels: How each channel reads a history.
        blends: Weights of the channels by name of the blend; ``fused`` is served, and `INSTRUCTED` with a sentence.
        beam_width: Beams of the semantic-ID search when a request has none.
        candidates: How many items are ranked in a large catalogue.
        live: Tables of all rows of a changed catalogue, whose generator has the rows of the bundle. None in a bundle.
        rejected: Items that users returned, removed or rated low and have not taken since, one event each; only used
            to not recommend them to these users.
        rated: Every event with a rating, for predicting ratings.
        rating_model: Predicts ratings; None for a dataset without enough of them.
        value_reader: Says which values of the columns a sentence means; None where no column can be read.
        prompts: Puts wishes to a pretrained LLM that was trained on instructions; None for another one.
        dictionary: Defines the words of sentences for `value_reader`; None: the fit was given none.
    """

    catalogue: Catalogue
    interactions: Interactions
    fused_ND: Segmented[npt.NDArray[np.float32]]
    semantic_ids_NP: Segmented[npt.NDArray[np.int32]]
    decode_index: DecodeIndex
    tokenizer: Tokenizer
    generator: Generator
    transitions: TransitionGraph
    transitions_wide: TransitionGraph
    lexical: LexicalIndex
    sketch: LsaProjection
    popularity_N: npt.NDArray[np.float32]
    channels: ChannelConfigs
    blends: Mapping[str, Blend]
    beam_width: int
    candidates: CandidateConfig = CandidateConfig()
    live: LiveRows | None = None
    rejected: Interactions = _NOBODY
    rated: Interactions = _NOBODY
    rating_model: RatingModel | None = None
    value_reader: ValueReader | None = None
    prompts: WishPrompts | None = None
    dictionary: Dictionary | None = None

    @property
    def blend(self) -> Blend:
        """The weights that are served."""
        return self.blends["fused"]


class Paths(NamedTuple):
    """Items of a bundle and their paths, without a model.

    Attributes:
        catalogue: The items.
        semantic_ids_NP: Unique paths. Shape: (N, P), int32.
        widths: Codes per level.
    """

    catalogue: Catalogue
    semantic_ids_NP: npt.NDArray[np.int32]
    widths: tuple[int, ...]


def write_parts(
    writer: BundleWriter,
    parts: Parts,
    features: ItemFeatures,
    thumbnails: npt.NDArray[np.uint8] | None = None,
    progress: Progress = NO_PROGRESS,
) -> IndexDescription:
    """Write every part, and the features of every item, into a bundle.

    Args:
        writer: Writes the bundle.
        parts: What a recommender ranks with.
        features: Features of every item, as the encoders gave them.
        thumbnails: Thumbnails of the pictures, for finding duplicates; None for none. Shape: (N, 3, H, W), uint8.
        progress: Reports the index.

    Returns:
        Description of the index over the fused embeddings, with its measured recall.
    """
    fused_ND = parts.fused_ND.whole()
    writer.write_table(CATALOGUE, parts.catalogue.to_table())
    if parts.catalogue.alive_N is not None:
        # In a file of its own, because a column of the dataset may have any name.
        writer.write_tensors(ALIVE, {"alive": parts.catalogue.alive_N})
    writer.write_table(HISTORIES, _histories_table(parts.interactions))
    if parts.rejected.events:
        writer.write_table(REJECTED, _histories_table(parts.rejected))
    if parts.rating_model is not None:
        writer.write_table(RATED, _histories_table(parts.rated, ratings=True))
        parts.rating_model.save(writer.path(RATING_MODEL))
    writer.write_tensors(
        EMBEDDINGS,
        {
            "fused": fused_ND,
            "image": features.image_NI,
            "has_image": features.has_image_N,
            "text": features.text_NT,
            "has_text": features.has_text_N,
        },
    )
    if thumbnails is not None:
        writer.write_tensors(THUMBNAILS, {"pixels": thumbnails})
    writer.write_tensors(TOKENS, {"semantic_ids": parts.semantic_ids_NP.whole()} | parts.tokenizer.tensors())
    index = build_vector_index(fused_ND, IndexConfig(gpu="never"), progress)
    built = index.description
    # The same fit must write the same bytes, so the build time is left out.
    index.description = replace(built, build_seconds=0.0)
    index.save(writer.path(f"{INDEX}.json").parent, INDEX)
    save_generator(parts.generator, writer.path(f"{GENERATOR}/heads.safetensors").parent)
    if parts.prompts is not None:
        parts.prompts.save(writer.path(WORD_TOKENIZER))
    writer.write_tensors(ITEM_TABLE, _table_tensors(parts.generator.catalogue.table()))
    tensors: dict[str, Any] = {"popularity": parts.popularity_N}
    tensors |= _csr_tensors("pairs", parts.transitions.whole().forward) | _csr_tensors("lexical", parts.lexical.rows)
    tensors |= _csr_tensors("wide_pairs", parts.transitions_wide.whole().forward)
    writer.write_tensors(CHANNELS, tensors)
    writer.write_json(TERMS, list(parts.lexical.vocabulary.terms))
    if parts.value_reader is not None:
        writer.write_tensors(f"{VALUE_READER}.safetensors", parts.value_reader.tensors())
        writer.write_json(f"{VALUE_READER}.json", parts.value_reader.described())
    if parts.dictionary is not None:
        writer.write_table(DICTIONARY, parts.dictionary.table())
        writer.write_text(DICTIONARY_NOTICE, parts.dictionary.notice + "\n")
    words = {"idf": parts.lexical.vocabulary.idf_V, "components": parts.sketch.components_VS}
    writer.write_tensors(WORDS, words)
    writer.write_json(
        SETTINGS,
        {
            "channels": asdict(parts.channels),
            "blends": {name: dict(blend.weights) for name, blend in parts.blends.items()},
            "newcomers": {name: blend.cold_share for name, blend in parts.blends.items()},
            "beam_width": parts.beam_width,
            "candidates": asdict(parts.candidates),
            "generator": asdict(parts.generator.config),
            "widths": list(parts.generator.widths),
        },
    )
    return built


def read_parts(bundle: Bundle, device: torch.device) -> Parts:
    """Read every part of a verified bundle.

    Raises:
        BundleError: a part is missing, or parts do not fit each other.
    """
    catalogue = _read_catalogue(bundle)
    items = len(catalogue)
    interactions = _read_histories(bundle, HISTORIES, items)
    tokens = bundle.read_tensors(TOKENS)
    channels = bundle.read_tensors(CHANNELS)
    settings = _read_settings(bundle)
    fused_ND = checked_array(
        bundle.path(EMBEDDINGS), {"fused": _read_tensor(bundle, EMBEDDINGS, "fused")}, "fused", np.float32, (None, None)
    )
    # NumPy's own memory lies in huge pages, which rows far apart are read from several times as fast.
    fused_ND = fused_ND.copy()
    for name, length in (
        (EMBEDDINGS, len(fused_ND)),
        (TOKENS, len(tokens.get("semantic_ids", ()))),
        (CHANNELS, len(channels.get("popularity", ()))),
    ):
        _check_length(bundle, name, length, items)
    _check_semantic_ids(bundle, tokens["semantic_ids"], settings.widths)
    tokenizer = _tokenizer(bundle, tokens)
    popularity_N = checked_array(bundle.path(CHANNELS), channels, "popularity", np.float32, (items,))
    table = _read_table(bundle, tokens["semantic_ids"], popularity_N)
    generator = load_generator(_generator_folder(bundle), settings.generator, table, settings.widths)
    words = bundle.read_tensors(WORDS)
    terms = _read_terms(bundle)
    vocabulary = Vocabulary(terms, checked_array(bundle.path(WORDS), words, "idf", np.float32, (len(terms),)))
    columns = max(1, len(terms))
    components_VS = checked_array(bundle.path(WORDS), words, "components", np.float32, (columns, None))
    pairs, wide_pairs, lexical = (
        checked_csr(bundle.path(CHANNELS), channels, name, items, width)
        for name, width in (("pairs", None), ("wide_pairs", None), ("lexical", columns))
    )
    return Parts(
        catalogue=catalogue,
        interactions=interactions,
        fused_ND=Segmented(fused_ND),
        semantic_ids_NP=Segmented(tokens["semantic_ids"]),
        decode_index=load_decode_index(bundle, Paths(catalogue, tokens["semantic_ids"], generator.widths)),
        tokenizer=tokenizer,
        generator=generator.to(device).eval(),
        transitions=build_graph(pairs, popularity_N, settings.channels.transitions),
        transitions_wide=build_graph(wide_pairs, popularity_N, settings.channels.transitions_wide),
        lexical=LexicalIndex(lexical, vocabulary),
        sketch=LsaProjection(components_VS),
        popularity_N=popularity_N,
        channels=settings.channels,
        blends=settings.blends,
        beam_width=settings.beam_width,
        candidates=settings.candidates,
        rejected=_read_histories(bundle, REJECTED, items) if REJECTED in bundle.manifest.files else _NOBODY,
        rated=_read_histories(bundle, RATED, items) if RATED in bundle.manifest.files else _NOBODY,
        rating_model=_read_rating_model(bundle, items),
        value_reader=_read_value_reader(bundle),
        prompts=_read_prompts(bundle, generator),
        dictionary=_read_dictionary(bundle),
    )


def with_tables_unread(parts: Parts, bundle: Bundle) -> Parts:
    """Parts of the same bundle, on the CPU, whose generator maps the large inputs of tokens from the files anew.

    Computing every token reads these files once; afterwards only changes of the catalogue read a few rows. Mapped anew,
    they take memory as far as they are read.
    """
    generator = parts.generator
    mapped = _mapped_table(bundle, len(parts.popularity_N))
    table = generator.catalogue.table()._replace(content_NC=mapped.content_NC, followers=mapped.followers)
    backbone = (generator.backbone, generator.state_norm.normalized_shape[0])
    fresh = load_generator(_generator_folder(bundle), generator.config, table, generator.widths, backbone)
    return parts._replace(generator=fresh.eval())


def _generator_folder(bundle: Bundle) -> Path:
    return bundle.path(f"{GENERATOR}/heads.safetensors").parent


def read_paths(bundle: Bundle) -> Paths:
    """Items and semantic IDs of a verified bundle; no model is loaded.

    Raises:
        BundleError: a part is missing, or the parts come from different bundles.
    """
    catalogue = _read_catalogue(bundle)
    semantic_ids_NP = _read_tensor(bundle, TOKENS, "semantic_ids")
    _check_length(bundle, TOKENS, len(semantic_ids_NP), len(catalogue))
    widths = _widths(bundle, bundle.read_json(SETTINGS))
    # Whether the codes are in range, `load_decode_index` says.
    checked_array(bundle.path(TOKENS), {"semantic_ids": semantic_ids_NP}, "semantic_ids", np.int32, (None, len(widths)))
    return Paths(catalogue, semantic_ids_NP, widths)


def load_decode_index(bundle: Bundle, paths: Paths) -> DecodeIndex:
    """The decode index over the paths of a verified bundle, on the CPU.

    Raises:
        BundleError: two items share a path, or a code is out of range.
    """
    alive_N = paths.catalogue.alive_N
    last_N = paths.semantic_ids_NP[:, -1] if alive_N is None else paths.semantic_ids_NP[alive_N, -1]
    # The last code separates equal paths; a catalogue that grew may need more of them than at the fit.
    widths = (*paths.widths[:-1], max(paths.widths[-1], int(last_N.max(initial=0)) + 1))
    try:
        return build_decode_index(paths.semantic_ids_NP, widths, alive_N)
    except InvalidArgumentError as err:
        raise BundleError(f"{bundle.root}: no decode index can be built: {err.message}: fit again") from err


def read_features(bundle: Bundle) -> ItemFeatures:
    """Features of every item, as the encoders gave them.

    Raises:
        BundleError: the vectors do not fit each other.
    """
    with _opened(bundle, EMBEDDINGS) as file:
        arrays = {name: file.get_tensor(name) for name in file.keys() if name != "fused"}  # noqa: SIM118
        items = file.get_slice("fused").get_shape()[0]
    path = bundle.path(EMBEDDINGS)
    features = ItemFeatures(
        checked_array(path, arrays, "image", np.float32, (None, None)),
        checked_array(path, arrays, "has_image", np.bool_, (None,)),
        checked_array(path, arrays, "text", np.float32, (None, None)),
        checked_array(path, arrays, "has_text", np.bool_, (None,)),
    )
    if {len(part) for part in features} != {items}:
        raise BundleError(
            f"{bundle.root}: {EMBEDDINGS} has {[len(part) for part in features]} vectors of pictures and words for "
            f"{items:,} items; the parts come from different bundles: fit again"
        )
    return features


def read_thumbnails(bundle: Bundle) -> npt.NDArray[np.uint8] | None:
    """Thumbnails of the items' pictures; None where the bundle has none. Shape: (N, 3, H, W), uint8."""
    return _read_tensor(bundle, THUMBNAILS, "pixels") if THUMBNAILS in bundle.manifest.files else None


def read_index(bundle: Bundle, fused_ND: npt.NDArray[np.float32], device: torch.device) -> VectorIndex:
    """The index over the fused embeddings of a verified bundle (hashes are checked before faiss parses anything).

    Raises:
        BundleError: it was built over other vectors than the catalogue's.
    """
    config = IndexConfig(gpu="auto" if device.type == "cuda" else "never")
    return VectorIndex.load(bundle.path(f"{INDEX}.json").parent, fused_ND, INDEX, config)


def _read_catalogue(bundle: Bundle) -> Catalogue:
    """The items, and the rows of those that were deleted while an earlier version was being served."""
    table = bundle.read_table(CATALOGUE)
    try:
        catalogue = Catalogue.from_table(table)
    except InvalidDatasetError as err:
        raise BundleError(
            f"{bundle.path(CATALOGUE)} was written by another version, or is damaged: {err.message}"
        ) from err
    if ALIVE not in bundle.manifest.files:
        return catalogue
    alive = {"alive": _read_tensor(bundle, ALIVE, "alive")}
    alive_N = checked_array(bundle.path(ALIVE), alive, "alive", np.bool_, (None,))
    if len(alive_N) != len(catalogue):
        raise BundleError(
            f"{bundle.root}: {ALIVE} describes {len(alive_N):,} rows and {CATALOGUE} {len(catalogue):,}; the parts "
            "come from different bundles: restore the bundle from its source"
        )
    return replace(catalogue, alive_N=alive_N)


def _check_length(bundle: Bundle, name: str, length: int, items: int) -> None:
    if length != items:
        raise BundleError(
            f"{bundle.root}: {name} describes {length:,} items and {CATALOGUE} {items:,}; the parts come from "
            "different bundles: fit again, or restore the bundle from its source"
        )


def _read_tensor(bundle: Bundle, name: str, key: str) -> npt.NDArray[Any]:
    """One tensor of a file; the others are not read."""
    with _opened(bundle, name) as file:
        if key not in file.keys():  # noqa: SIM118  # it is no dictionary
            raise BundleError(f"{bundle.root}: {name} has no {key!r}; it was written by another version: fit again")
        tensor: npt.NDArray[Any] = file.get_tensor(key)
        return tensor


@contextmanager
def _opened(bundle: Bundle, name: str, framework: str = "numpy") -> Iterator[Any]:
    path = bundle.path(name)
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except (OSError, SafetensorError) as err:
        raise BundleError(f"{path} is not a readable safetensors file: copy the bundle afresh, or fit again") from err


def save_generator(generator: Generator, folder: Path) -> None:
    """Write the LLM in Hugging Face layout and the heads beside it."""
    save_backbone(generator.backbone, folder / "backbone", generator.config)
    heads = {
        name: tensor.contiguous() for name, tensor in generator.state_dict().items() if not name.startswith("backbone.")
    }
    save_file(heads, folder / "heads.safetensors")


def load_generator(
    folder: Path,
    config: GeneratorConfig,
    table: ItemTable,
    widths: tuple[int, ...],
    backbone: tuple[Backbone, int] | None = None,
) -> Generator:
    """Read the files of `save_generator`, on the CPU.

    Args:
        folder: Written by `save_generator`.
        config: Architecture.
        table: The catalogue.
        widths: Codes per level of a semantic ID.
        backbone: The model of the folder and its hidden width, where it has been loaded before.

    Raises:
        BundleError: the weights are of another shape than the catalogue and the configuration.
    """
    heads = load_file(folder / "heads.safetensors")
    # Before anything of these sizes is allocated.
    embeddings = [heads.get(f"semantic_id_head.code_embedding.{level}.weight") for level in range(len(widths))]
    found = tuple(0 if embedding is None else len(embedding) for embedding in embeddings)
    if found != widths or config.decoder_layers > len(heads):
        raise BundleError(
            f"{folder / 'heads.safetensors'} has {len(heads)} tensors and embeddings of {found} codes, and the "
            f"settings name {config.decoder_layers} layers and {widths} codes; the parts come from different bundles: "
            "fit again"
        )
    backbone = backbone or load_backbone(folder / "backbone")
    unfitting = BundleError(
        f"{folder / 'heads.safetensors'}: the weights do not fit the catalogue; the parts come from different bundles: "
        "fit again"
    )
    residual_NH = heads.pop(RESIDUAL, None)
    if (
        residual_NH is None
        or residual_NH.shape != (len(table.warm_N), backbone[1])
        or not residual_NH.is_floating_point()
    ):
        raise unfitting
    # Of every item, these stay mapped; the other weights are few, and copied.
    generator = Generator(config, table, widths, backbone, residual_NH)
    try:
        wrong = generator.load_state_dict(heads, strict=False)
    except RuntimeError as err:
        raise unfitting from err
    missing = [name for name in wrong.missing_keys if not name.startswith("backbone.") and name != RESIDUAL]
    if missing or wrong.unexpected_keys:
        raise BundleError(
            f"{folder / 'heads.safetensors'}: missing {missing[:3]}, unexpected {wrong.unexpected_keys[:3]}; it was "
            "written by another version: fit again"
        )
    return generator


def _table_tensors(table: ItemTable) -> dict[str, npt.NDArray[Any]]:
    """Inputs of the generator; the content begins with the fused embedding, so that it is read as it lies there."""
    tensors = {"content": table.content_NC.cpu().numpy()}
    for name, neighbours in (("followers", table.followers), ("alike", table.alike)):
        if neighbours:
            tensors[f"{name}.rows"] = neighbours.rows_NK.cpu().numpy()
            tensors[f"{name}.weights"] = neighbours.weights_NK.cpu().numpy()
    return tensors


class _MappedTable(NamedTuple):
    """The file `ITEM_TABLE`, mapped into memory."""

    content_NC: Tensor
    followers: Neighbours | None
    alike: Neighbours | None


def _mapped_table(bundle: Bundle, items: int) -> _MappedTable:
    path = bundle.path(ITEM_TABLE)
    # As PyTorch's tensors, safetensors maps them; as NumPy's, it would read them.
    with _opened(bundle, ITEM_TABLE, framework="pt") as file:
        try:
            tensors = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118
        except TypeError as err:
            raise BundleError(f"{path} holds numbers of another kind ({err}): fit again") from err
    if {len(tensor) for tensor in tensors.values()} != {items}:
        raise BundleError(
            f"{bundle.root}: {ITEM_TABLE} does not describe {items:,} items; the parts come from different bundles: "
            "fit again"
        )

    def neighbours(name: str) -> Neighbours | None:
        if f"{name}.rows" not in tensors:
            return None
        rows_NK = checked_array(path, tensors, f"{name}.rows", np.int32, (items, None))
        weights_NK = checked_array(path, tensors, f"{name}.weights", np.float32, rows_NK.shape)
        return Neighbours(torch.from_numpy(rows_NK), torch.from_numpy(weights_NK))

    content_NC = checked_array(path, tensors, "content", np.float32, (items, None))
    return _MappedTable(torch.from_numpy(content_NC), neighbours("followers"), neighbours("alike"))


def _read_table(
    bundle: Bundle, semantic_ids_NP: npt.NDArray[np.int32], popularity_N: npt.NDArray[np.float32]
) -> ItemTable:
    items = len(popularity_N)
    content_NC, followers, alike = _mapped_table(bundle, items)
    for name, neighbours in (("followers", followers), ("alike", alike)):
        if neighbours:
            check_indices(bundle.path(ITEM_TABLE), f"{name}.rows", neighbours.rows_NK.numpy(), items, "items")
    if alike:
        # Scores of items without events rest on these at every request.
        alike = Neighbours(alike.rows_NK.clone(), alike.weights_NK.clone())
    return ItemTable(
        content_NC, torch.from_numpy(semantic_ids_NP), torch.from_numpy(popularity_N > 0), followers, alike
    )


def _tokenizer(bundle: Bundle, tokens: Mapping[str, npt.NDArray[Any]]) -> Tokenizer:
    try:
        tokenizer = tokenizer_from_tensors(tokens)
        levels = tokenizer.levels
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as err:
        raise BundleError(
            f"{bundle.root}: {TOKENS}: {err.args[0] if err.args else err}; it was written by another version: fit again"
        ) from err
    if levels != tokens["semantic_ids"].shape[1] - 1:
        raise BundleError(
            f"{bundle.path(TOKENS)}: the tokenizer gives {levels} codes, and the semantic IDs have "
            f"{tokens['semantic_ids'].shape[1]}, which must be one more: copy the bundle afresh, or fit again"
        )
    return tokenizer


class _Settings(NamedTuple):
    """What `SETTINGS` says."""

    widths: tuple[int, ...]
    generator: GeneratorConfig
    channels: ChannelConfigs
    blends: Mapping[str, Blend]
    beam_width: int
    candidates: CandidateConfig


def _read_settings(bundle: Bundle) -> _Settings:
    found = bundle.read_json(SETTINGS)
    try:
        configs = found["channels"]
        return _Settings(
            _widths(bundle, found),
            GeneratorConfig(**found["generator"]),
            ChannelConfigs(
                TransitionConfig(**configs["transitions"]),
                TransitionConfig(**configs["transitions_wide"]),
                LexicalConfig(**configs["lexical"]),
                ContentConfig(**configs["content"]),
            ),
            {name: Blend(weights, float(found["newcomers"][name])) for name, weights in found["blends"].items()},
            int(found["beam_width"]),
            CandidateConfig(**found["candidates"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, InvalidArgumentError) as err:
        raise BundleError(
            f"{bundle.path(SETTINGS)} lacks a setting or has a wrong one ({err!r:.200}): copy the bundle afresh, or "
            "fit again"
        ) from err


def _widths(bundle: Bundle, found: Any) -> tuple[int, ...]:
    widths = found.get("widths") if isinstance(found, dict) else None
    if not isinstance(widths, list) or not all(type(width) is int and 0 < width < 2**31 for width in widths):
        raise BundleError(
            f"{bundle.path(SETTINGS)}: widths is {widths!r:.80}; it must be a list of integers from 1 to below 2**31: "
            "copy the bundle afresh, or fit again"
        )
    return tuple(widths)


def _read_terms(bundle: Bundle) -> tuple[str, ...]:
    terms = bundle.read_json(TERMS)
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        raise BundleError(f"{bundle.path(TERMS)} must be a list of texts: copy the bundle afresh, or fit again")
    return tuple(terms)


def _check_semantic_ids(bundle: Bundle, semantic_ids_NP: npt.NDArray[np.int32], widths: tuple[int, ...]) -> None:
    path = bundle.path(TOKENS)
    checked_array(path, {"semantic_ids": semantic_ids_NP}, "semantic_ids", np.int32, (None, len(widths)))
    # A catalogue that grew may have more items of one path than at the fit.
    for level, width in enumerate((*widths[:-1], max(widths[-1], LAST_WIDTH))):
        check_indices(path, "semantic_ids", semantic_ids_NP[:, level], width, f"codes of level {level}")


def _csr_tensors(name: str, matrix: sp.csr_array) -> dict[str, npt.NDArray[Any]]:
    return {
        f"{name}.data": matrix.data.astype(np.float32),
        f"{name}.indices": matrix.indices.astype(np.int32),
        f"{name}.indptr": matrix.indptr.astype(np.int64),
        f"{name}.shape": np.array(matrix.shape, dtype=np.int64),
    }


def _read_rating_model(bundle: Bundle, items: int) -> RatingModel | None:
    if RATING_MODEL not in bundle.manifest.files:
        return None
    model = RatingModel.load(bundle.path(RATING_MODEL))
    # It has no rows of the items that came after the fit.
    _check_length(bundle, RATING_MODEL, max(items, len(model.item_NK)), items)
    return model


def _read_value_reader(bundle: Bundle) -> ValueReader | None:
    if f"{VALUE_READER}.json" not in bundle.manifest.files:
        return None
    tensors = bundle.read_tensors(f"{VALUE_READER}.safetensors")
    try:
        return ValueReader.from_tensors(bundle.read_json(f"{VALUE_READER}.json"), tensors)
    except KeyError as err:
        raise BundleError(
            f"{bundle.root}: {VALUE_READER}.safetensors has no {err.args[0]!r}; it was written by another version: fit "
            "again"
        ) from err


def _read_dictionary(bundle: Bundle) -> Dictionary | None:
    if DICTIONARY not in bundle.manifest.files:
        return None
    try:
        return Dictionary.from_table(bundle.read_table(DICTIONARY))
    except KeyError as err:
        raise BundleError(
            f"{bundle.root}: {DICTIONARY} has no column of texts {err.args[0]!r}; it was written by another version: "
            "fit again"
        ) from err


def _read_prompts(bundle: Bundle, generator: Generator) -> WishPrompts | None:
    if WORD_TOKENIZER not in bundle.manifest.files:
        return None
    path = bundle.path(WORD_TOKENIZER)
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as err:  # the library raises nothing more special
        raise BundleError(f"{path} is not a readable tokenizer: copy the bundle afresh, or fit again") from err
    return WishPrompts(tokenizer, positions_of(generator.backbone), generator.config.max_history)


def _histories_table(interactions: Interactions, *, ratings: bool = False) -> pa.Table:
    columns = {
        "user_id": pa.array(interactions.user_ids, pa.string()),
        "items": pa.LargeListArray.from_arrays(interactions.offsets_U, pa.array(interactions.items_E)),
        "times": pa.LargeListArray.from_arrays(interactions.offsets_U, pa.array(interactions.times_E)),
    }
    if ratings:
        values = pa.array(interactions.ratings_E, pa.float32())
        columns["ratings"] = pa.LargeListArray.from_arrays(interactions.offsets_U, values)
    return pa.table(columns)


def _read_histories(bundle: Bundle, name: str, rows: int) -> Interactions:
    """Events of a file; their items are rows of a catalogue of so many."""
    path = bundle.path(name)
    try:
        found = _interactions(bundle.read_table(name))
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException, InvalidDatasetError) as err:
        raise BundleError(f"{path} holds no histories ({err}): copy the bundle afresh, or fit again") from err
    check_indices(path, "items", found.items_E, rows, "items")
    return found


def _interactions(table: pa.Table) -> Interactions:
    table = table.combine_chunks()
    items = table["items"].combine_chunks()
    times = table["times"].combine_chunks()
    lengths = np.asarray(items.value_lengths()) if len(items) else np.empty(0, dtype=np.int64)
    ratings = table["ratings"].combine_chunks().flatten() if "ratings" in table.column_names else None
    return Interactions(
        user_ids=tuple(table["user_id"].to_pylist()),
        offsets_U=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        items_E=np.array(items.flatten(), dtype=np.int32),
        times_E=np.array(times.flatten(), dtype=np.int64),
        ratings_E=None if ratings is None else np.array(ratings, dtype=np.float32),
    )
