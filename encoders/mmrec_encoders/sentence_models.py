"""Finds and loads text embedders: packaged, in a folder, in the hub's cache, or from the hub.

A sentence-transformers model defines its pooling. A plain Hugging Face model gets last-token pooling if its attention
is causal (decoders such as Qwen3 and Mistral), else mean pooling. Code that comes with a model is never run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mmrec.errors import InvalidArgumentError, MissingExtraError, MmrecError, ModelNotAvailableError
from mmrec.runtime.quiet import quiet_loading
from mmrec_encoders.minilm import MINILM, minilm_folder

POOLINGS = ("", "mean", "cls", "last")
"""How token vectors become one: as the model defines it, their mean, the first one, or the last one."""
_MODES = {"mean": "mean", "cls": "cls", "last": "lasttoken"}


class LoadedText(NamedTuple):
    """A text embedder on the CPU, its weights as stored.

    Attributes:
        model: The SentenceTransformer, in eval mode.
        plain: Whether it came without sentence-transformers files, so that the pooling was chosen here.
        asks_end: Whether the tokenizer's configuration asks for an end token behind each text. Read from the file,
            because not every tokenizer class follows it.
    """

    model: Any
    plain: bool
    asks_end: bool


def short_name(model: str) -> str:
    """The model's name without local folder paths."""
    return Path(model).expanduser().name if Path(model).expanduser().is_dir() else model


def load_text_model(name: str, pooling: str = "") -> LoadedText:
    """Load a text embedder.

    Args:
        name: Hub id, local folder, or `MINILM`.
        pooling: One of `POOLINGS`.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
        ModelNotAvailableError: the model is neither on disk nor to be had from the hub, or cannot be loaded.
        InvalidArgumentError: a pooling is asked of a model that does not pool token vectors.
    """
    try:
        with quiet_loading():
            from sentence_transformers import SentenceTransformer
    except ImportError as err:
        raise MissingExtraError("sentence-transformers is not installed; run: pip install 'mmrec[encoders]'") from err
    found = str(minilm_folder()) if name == MINILM else name
    folder = Path(found).expanduser()
    local = folder.exists()
    if not local and (found.startswith((".", "/", "~")) or found.count("/") > 1):
        raise ModelNotAvailableError(
            f"text model {name!r} is not a folder here; pass a folder that holds the model, a hub id "
            f"such as Qwen/Qwen3-Embedding-0.6B, or the preset 'embedded', which needs no download"
        )
    with _load_errors(name, local), quiet_loading():
        model = SentenceTransformer(
            str(folder) if local else found,
            device="cpu",
            trust_remote_code=False,
            local_files_only=local,
            # As stored: cast later, so that the fingerprint does not depend on the computing format.
            model_kwargs={"dtype": "auto"},
        ).eval()
    plain = _file(found, "modules.json", folder, local) is None
    if plain or pooling:
        with _load_errors(name, local):
            _set_pooling(model, name, pooling, plain)
    return LoadedText(model, plain, _asks_end(_file(found, "tokenizer_config.json", folder, local)))


@contextmanager
def _load_errors(name: str, local: bool) -> Iterator[None]:
    """Raise errors of the libraries as `ModelNotAvailableError`."""
    try:
        yield
    except MmrecError:
        raise
    except Exception as err:
        if local:
            raise ModelNotAvailableError(
                f"the folder {name!r} cannot be loaded as a text model ({type(err).__name__}); check that the "
                "download is whole (config.json, tokenizer and *.safetensors), or pass the preset 'embedded'"
            ) from err
        raise ModelNotAvailableError(
            f"text model {name!r} is not on this machine and cannot be fetched from the Hugging Face hub; "
            "pass a local folder that holds it, or the preset 'embedded', which needs no download"
        ) from err


def _file(found: str, file: str, folder: Path, local: bool) -> Path | None:
    """Path of a file of the loaded model; None if it has no such file."""
    if local:
        return folder / file if (folder / file).is_file() else None
    from huggingface_hub import try_to_load_from_cache

    # Loading the model has cached it, if the hub has it.
    cached = try_to_load_from_cache(found, file)
    return Path(cached) if isinstance(cached, str) else None


def _asks_end(path: Path | None) -> bool:
    try:
        described = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
    except (OSError, ValueError):
        return False
    return isinstance(described, dict) and described.get("add_eos_token") is True


def _set_pooling(model: Any, name: str, pooling: str, plain: bool) -> None:
    """Set the requested pooling, or that of a plain model's attention."""
    layer = next((module for module in model if type(module).__name__ == "Pooling"), None)
    if layer is None:
        if pooling:
            raise InvalidArgumentError(
                f"pooling is {pooling!r}, but text model {name!r} does not pool token vectors; leave pooling empty",
                field="pooling",
            )
        return
    chosen = pooling or ("last" if _is_causal(model[0].auto_model) else "mean")
    # Replaced, because older releases keep one flag for each mode.
    at = list(model).index(layer)
    model[at] = type(layer)(int(model[0].auto_model.config.hidden_size), pooling_mode=_MODES[chosen])
    if plain and chosen == "last":
        # As these model families do: the last position of every row is then a real token.
        model.tokenizer.padding_side = "left"


def _is_causal(transformer: Any) -> bool:
    """Whether attention is causal; tested by a forward pass, as configurations do not always tell."""
    import torch

    size = int(transformer.config.get_text_config().vocab_size)
    ids = torch.arange(5).remainder(size).repeat(2, 1)
    ids[1, -1] = (ids[1, -1] + 7) % size
    with torch.inference_mode():
        first, second = transformer(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, :-1]
    return bool(torch.allclose(first.float(), second.float(), atol=1e-4, rtol=1e-4))
