"""Pretrained language models of Hugging Face's architectures: found by hub id, folder, GGUF file or configuration.

Everything is brought to local files first; weights are Safetensors or GGUF, never a pickle, and no code that comes with
a model is run. Knows nothing about items.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError
from safetensors import SafetensorError

from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec.runtime.packaged_models import SMOLLM2, checked_model
from mmrec.runtime.quiet import quiet_loading

_WANTED = ("*.json", "*.safetensors", "*.model", "merges.txt", "vocab.txt", "*.jinja", "README.md")
_UNWANTED = ("original/*", "onnx/*", "openvino/*")
_GGUF_MAGIC = b"GGUF"
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Checkpoint:
    """Local files of a language model.

    Attributes:
        name: As it was asked for.
        path: A folder with ``config.json`` and Safetensors, a ``.gguf`` file, or a ``.json`` configuration alone, whose
            model gets random weights.
    """

    name: str
    path: Path

    @property
    def is_gguf(self) -> bool:
        """Whether it is one GGUF file, which also holds configuration and tokenizer."""
        return self.path.suffix == ".gguf"

    @property
    def is_configuration(self) -> bool:
        """Whether it has no weights."""
        return self.path.suffix == ".json"

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the weights: of the file, or of the lines ``NAME SHA256`` of several. 64 hex digits."""
        files = [self.path] if self.path.is_file() else sorted(self.path.glob("*.safetensors"))
        digests = {file.name: _file_digest(file) for file in files}
        if len(digests) == 1:
            return next(iter(digests.values()))
        return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in digests.items()).encode()).hexdigest()

    @cached_property
    def licence(self) -> str:
        """Licence that the files name, such as ``apache-2.0``; empty where they name none."""
        if self.is_gguf:
            return _gguf_text(self.path, "general.license")
        card = self.path / "README.md"
        lines = card.read_text(encoding="utf-8", errors="replace").splitlines() if card.is_file() else []
        return next((line.removeprefix("license:").strip() for line in lines if line.startswith("license:")), "")


def find_checkpoint(model: str, sha256: str = "", cache: Path | None = None) -> Checkpoint:
    """The local files of a model, downloaded if it is a hub id that is not in the local cache.

    Args:
        model: Hub id, folder, ``.gguf`` file, ``.json`` configuration of Hugging Face for random weights, or
            ``smollm2-135m``, which comes in a Python package.
        sha256: The hash that `Checkpoint.sha256` must have; empty: any.
        cache: Folder of `mmrec models get`, in which a model of a package is looked for first.

    Raises:
        MissingExtraError: a package with the model is not installed.
        ModelNotAvailableError: it is nowhere to be found, its licence has not been accepted, or its files have another
            hash.
        InvalidArgumentError: its files are of another format.
    """
    checkpoint = Checkpoint(model, _local_files(model, cache))
    _check_format(checkpoint)
    if sha256 and checkpoint.sha256 != sha256.lower():
        raise ModelNotAvailableError(
            f"the weights of the language model {model!r} have the SHA-256 {checkpoint.sha256}, and {sha256} is asked "
            "for; fetch the model again, or pass the hash of the one that is meant"
        )
    return checkpoint


def load_config(checkpoint: Checkpoint) -> Any:
    """The Hugging Face configuration.

    Raises:
        InvalidArgumentError: it names an architecture that transformers does not have.
    """
    where, options = _source(checkpoint)
    try:
        with quiet_loading():
            return transformers.AutoConfig.from_pretrained(where, local_files_only=True, **options)  # nosec B615
    except (OSError, ValueError, KeyError) as err:
        raise _unusable(checkpoint, err) from err


def load_model(checkpoint: Checkpoint, *, head: bool = False, dtype: torch.dtype = torch.float32) -> Any:
    """The model, on the CPU, in evaluation mode.

    Args:
        checkpoint: From `find_checkpoint`.
        head: With the head that scores words; otherwise the model ends with hidden states.
        dtype: Number format of the weights.

    Raises:
        InvalidArgumentError: the files are damaged, or no decoder-only or encoder-decoder model of transformers.
    """
    config = load_config(checkpoint)
    kind: Any = transformers.AutoModel
    if head:
        kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    where, options = _source(checkpoint)
    try:
        with quiet_loading():
            if checkpoint.is_configuration:
                model = kind.from_config(config, dtype=dtype)
            elif checkpoint.is_gguf:
                model = kind.from_pretrained(where, dtype=dtype, local_files_only=True, **options)
            else:
                model = kind.from_pretrained(where, dtype=dtype, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as err:
        raise _unusable(checkpoint, err) from err
    if checkpoint.is_gguf:
        # Once dequantised it is a model like any other, which can be trained and saved.
        with quiet_loading():
            model = type(model).from_pretrained(None, config=config, state_dict=model.state_dict(), dtype=dtype)
    model.eval()
    if not config.is_encoder_decoder:
        _check_causal(model, checkpoint)
    return model


def load_tokenizer(checkpoint: Checkpoint) -> Any:
    """The tokenizer.

    Raises:
        InvalidArgumentError: the files have none.
    """
    where, options = _source(checkpoint)
    try:
        with quiet_loading():
            return transformers.AutoTokenizer.from_pretrained(where, local_files_only=True, **options)  # nosec B615
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise InvalidArgumentError(
            f"the language model {checkpoint.name!r} has no tokenizer that transformers can read; put tokenizer.json "
            "and tokenizer_config.json into its folder, or pass a GGUF file, which holds its own"
        ) from err


def load_word_tokenizer(checkpoint: Checkpoint) -> tokenizers.Tokenizer:
    """The tokenizer as one that is stored as a single JSON file, which neither cuts nor pads.

    Raises:
        InvalidArgumentError: the files have none, or one of another kind.
    """
    found = getattr(load_tokenizer(checkpoint), "backend_tokenizer", None)
    if not isinstance(found, tokenizers.Tokenizer):
        raise InvalidArgumentError(
            f"the tokenizer of the language model {checkpoint.name!r} cannot be stored as tokenizer.json; save it with "
            "a fast tokenizer of transformers, or pass another model"
        )
    found.no_truncation()
    found.no_padding()
    return found


def _local_files(model: str, cache: Path | None) -> Path:
    path = Path(model).expanduser()
    if path.exists():
        return path
    if model == SMOLLM2.name:
        return checked_model(SMOLLM2, cache)
    if path.suffix in (".gguf", ".json") or path.is_absolute() or not model:
        raise _missing(model)
    try:
        with quiet_loading():
            # Whoever names a model of the hub trusts its owner with later revisions; none of them can run code here.
            wanted, unwanted = list(_WANTED), list(_UNWANTED)
            folder = snapshot_download(model, allow_patterns=wanted, ignore_patterns=unwanted)  # nosec B615
            return Path(folder)
    except GatedRepoError as err:
        raise ModelNotAvailableError(
            f"the language model {model!r} is given only to who accepts its licence; accept it on its page of the hub "
            "and log in there, or pass a folder that holds config.json and model.safetensors"
        ) from err
    except (OSError, ValueError) as err:
        raise _missing(model) from err


def _missing(model: str) -> ModelNotAvailableError:
    return ModelNotAvailableError(
        f"the language model {model!r} is neither a local folder nor a hub model that can be reached; "
        "pass a folder that holds config.json and model.safetensors, a .gguf file, or leave it empty to train a small "
        "model from scratch"
    )


def _check_format(checkpoint: Checkpoint) -> None:
    path = checkpoint.path
    if path.is_file():
        if checkpoint.is_gguf:
            with path.open("rb") as file:
                if file.read(4) != _GGUF_MAGIC:
                    raise InvalidArgumentError(f"{path} does not begin as a GGUF file does; fetch it again")
        elif not checkpoint.is_configuration:
            raise InvalidArgumentError(
                f"{path} is a {path.suffix or 'nameless'} file; a language model is a folder with config.json and "
                "model.safetensors, a .gguf file, or a .json configuration"
            )
        return
    if not (path / "config.json").is_file():
        raise InvalidArgumentError(f"{path} has no config.json; pass a folder that a model was saved to")
    if not any(path.glob("*.safetensors")):
        pickled = next((file.name for file in (*path.glob("*.bin"), *path.glob("*.pt"))), "")
        found = f"has {pickled}, a pickle, which can run code," if pickled else "has no weights"
        raise InvalidArgumentError(
            f"{path} {found} where model.safetensors is wanted; save the model with safe_serialization, or pass "
            "config.json itself for random weights"
        )


def _source(checkpoint: Checkpoint) -> tuple[Path, dict[str, Any]]:
    if checkpoint.is_gguf:
        return checkpoint.path.parent, {"gguf_file": checkpoint.path.name}
    return checkpoint.path, {}


def _unusable(checkpoint: Checkpoint, err: Exception) -> InvalidArgumentError:
    lines = str(err).strip().splitlines()
    return InvalidArgumentError(
        f"the language model {checkpoint.name!r} cannot be loaded ({lines[0] if lines else type(err).__name__}); pass "
        "an undamaged decoder-only or encoder-decoder model of an architecture that transformers has itself"
    )


@torch.inference_mode()
def _check_causal(model: Any, checkpoint: Checkpoint) -> None:
    """Refuse encoders: the state of a word must not depend on the words after it."""
    base = model.base_model
    ids_23 = torch.tensor([[1, 2, 3], [1, 2, 4]]) % base.get_input_embeddings().num_embeddings
    states_23H = base(input_ids=ids_23).last_hidden_state
    if not torch.allclose(states_23H[0, :2], states_23H[1, :2], rtol=1e-2, atol=1e-3):
        raise InvalidArgumentError(
            f"the language model {checkpoint.name!r} reads what comes after a word as well: it is an encoder; pass a "
            "decoder-only or an encoder-decoder model"
        )


def _file_digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _gguf_text(path: Path, key: str) -> str:
    import gguf

    field = gguf.GGUFReader(path).get_field(key)
    return "" if field is None else str(field.contents())
