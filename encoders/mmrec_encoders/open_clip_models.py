"""Finds and loads open_clip models: by name and tag, from the hub or its cache, from a folder, from a file.

Weights are read as safetensors, or by torch with ``weights_only``; a pickle with anything but tensors is refused and
not run.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrec.errors import InvalidArgumentError, MissingExtraError, MmrecError, ModelNotAvailableError
from mmrec.runtime.limits import check_numbers
from mmrec.runtime.quiet import quiet_loading

CONFIG_FILE = "open_clip_config.json"
_WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".npz")
_INSTEAD = "or the preset 'embedded', which needs no download"


@dataclass(frozen=True, slots=True)
class OpenClipConfig:
    """Which open_clip model, and how it is run.

    Attributes:
        model: Built-in name (``ViT-B-32``), ``hf-hub:org/name``, ``local-dir:/folder``, or a JSON file with a
            configuration of one's own (``embed_dim``, ``vision_cfg``, ``text_cfg``).
        pretrained: Tag (``laion2b_s34b_b79k``) or weights file for a built-in name, weights file for a
            configuration; empty with ``hf-hub:`` and ``local-dir:``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        batch_size: Pictures or texts per forward pass; 0 chooses by device.
        compile: Compile the model with `torch.compile`; the first calls are then slow.
    """

    model: str
    pretrained: str = ""
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 0
    compile: bool = False

    def __post_init__(self) -> None:
        if not self.model:
            raise InvalidArgumentError("model is empty; pass an open_clip model name", field="model")
        check_numbers(self, "batch_size", low=0)
        if self.pretrained and ":" in self.model and not self.model.endswith(".json"):
            raise InvalidArgumentError(
                f"model is {self.model!r}, which names its own weights, and pretrained is {self.pretrained!r}; "
                "leave pretrained empty",
                field="pretrained",
            )
        if not self.pretrained and (":" not in self.model or self.model.endswith(".json")):
            raise InvalidArgumentError(
                f"model is {self.model!r} and pretrained is empty: the weights would be random; pass a tag such as "
                "laion2b_s34b_b79k or a weights file",
                field="pretrained",
            )


def open_clip_config(model: str, device: str = "auto", dtype: str = "auto", *, compile: bool = False) -> OpenClipConfig:
    """The configuration of a model named in one string.

    Args:
        model: ``NAME@TAG`` or ``NAME@FILE`` for a built-in open_clip model, ``CONFIG.json@FILE`` for a
            configuration of one's own, ``hf-hub:ORG/NAME``, ``local-dir:FOLDER``, or a folder that holds an
            ``open_clip_config.json``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        compile: Whether the model is compiled.
    """
    if (Path(model).expanduser() / CONFIG_FILE).is_file():
        return OpenClipConfig(f"local-dir:{Path(model).expanduser()}", device=device, dtype=dtype, compile=compile)
    if ":" in model.partition("@")[0] and ".json@" not in model:
        return OpenClipConfig(model, device=device, dtype=dtype, compile=compile)
    # A folder's name may contain "@", so split after ".json".
    head, sign, weights = model.partition(".json@")
    name, weights = (f"{head}.json", weights) if sign else (model.partition("@")[0], model.partition("@")[2])
    return OpenClipConfig(name, weights, device=device, dtype=dtype, compile=compile)


def short_name(config: OpenClipConfig) -> str:
    """The model's name without local folder paths."""
    if config.model.startswith("local-dir:") or config.model.endswith(".json"):
        return Path(config.model).name.removesuffix(".json")
    return config.model


def load_open_clip(config: OpenClipConfig) -> Any:
    """The whole model on the CPU, in eval mode, its weights as stored.

    Raises:
        MissingExtraError: open_clip is not installed.
        ModelNotAvailableError: the model is unknown, or its weights can be neither read nor fetched, or hold
            more than tensors.
    """
    open_clip = _open_clip()
    file = Path(config.pretrained).expanduser()
    if config.pretrained.endswith(_WEIGHTS) and not file.is_file():
        raise ModelNotAvailableError(
            f"the weights file {config.pretrained!r} of open_clip model {config.model} does not exist; "
            f"pass an existing file, {_INSTEAD}"
        )
    with _own_configuration(config) as name, _load_errors(config), quiet_loading():
        own = name != config.model
        model = open_clip.create_model_from_pretrained(
            name,
            pretrained=None if own else (str(file) if file.is_file() else config.pretrained) or None,
            device="cpu",
            weights_only=True,
            return_transform=False,
            **(published_preprocessing(config.model) if file.is_file() and not own else {}),
        )
    return model.eval()


def published_preprocessing(name: str) -> dict[str, Any]:
    """Preprocessing options that all published weights of a built-in model share, e.g. ``image_mean``; empty for none.

    open_clip looks them up by the tag of the weights, and so misses them where the weights come from a file.
    """
    open_clip = _open_clip()
    found = []
    for tag in open_clip.list_pretrained_tags_by_model(name):
        described = open_clip.get_pretrained_cfg(name, tag)
        kept = {key: described[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in described}
        found.append({f"image_{key}": value for key, value in kept.items()})
    return found[0] if found and all(one == found[0] for one in found) else {}


def load_tokenizer(config: OpenClipConfig) -> Any:
    """The tokenizer that belongs to the model: texts to a tensor of token ids.

    Raises:
        MissingExtraError: open_clip is not installed.
        ModelNotAvailableError: it can be neither read nor fetched.
    """
    open_clip = _open_clip()
    with _own_configuration(config) as name, quiet_loading():
        try:
            tokenizer = open_clip.get_tokenizer(name)
            tokenizer(["a"])
        except Exception as err:
            raise ModelNotAvailableError(
                f"the tokenizer of open_clip model {config.model!r} cannot be loaded ({type(err).__name__}): its "
                "files are neither here nor to be had from the hub; put them beside "
                f"{CONFIG_FILE} and pass local-dir:FOLDER, {_INSTEAD}"
            ) from err
    return tokenizer


def model_config(config: OpenClipConfig) -> dict[str, Any]:
    """How the model is built, as in ``model_cfg`` of an ``open_clip_config.json``; a copy.

    Raises:
        MissingExtraError: open_clip is not installed.
        ModelNotAvailableError: there is no such model.
    """
    open_clip = _open_clip()
    with _own_configuration(config) as name, _load_errors(config), quiet_loading():
        found = open_clip.get_model_config(name if ":" in name else name.replace("/", "-"))
        copied: dict[str, Any] = json.loads(json.dumps(found))
    return copied


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError as err:
        raise MissingExtraError("open_clip is not installed; run: pip install 'mmrec[encoders]'") from err
    return open_clip


@contextmanager
def _own_configuration(config: OpenClipConfig) -> Iterator[str]:
    """The name to pass to open_clip: for a configuration of one's own, that of a folder made of its files.

    open_clip takes configurations from folders or keeps them for the whole process; a folder that lives as long
    as the loading leaves nothing behind.
    """
    folder = Path(config.model.removeprefix("local-dir:")).expanduser()
    if config.model.startswith("local-dir:"):
        if (folder / CONFIG_FILE).is_file() and "model_cfg" not in _read_configuration(folder / CONFIG_FILE):
            with _assembled(folder / CONFIG_FILE, None) as name:
                yield name
        else:
            yield f"local-dir:{folder}"
    elif config.model.endswith(".json"):
        with _assembled(folder, Path(config.pretrained).expanduser()) as name:
            yield name
    else:
        yield config.model


@contextmanager
def _assembled(path: Path, weights: Path | None) -> Iterator[str]:
    described = _read_configuration(path)
    with tempfile.TemporaryDirectory(prefix="mmrec-clip-") as made:
        folder = Path(made)
        # The tokenizer's files, if it has any, stand beside the configuration.
        for file in path.absolute().parent.iterdir():
            if file.is_file() and file.name != CONFIG_FILE and (weights is None or file.suffix not in _WEIGHTS):
                (folder / file.name).symlink_to(file)
        if weights is not None:
            (folder / f"open_clip_model{weights.suffix}").symlink_to(weights.absolute())
        whole = described if "model_cfg" in described else {"model_cfg": described}
        (folder / CONFIG_FILE).write_text(json.dumps(whole), encoding="utf-8")
        yield f"local-dir:{folder}"


def _read_configuration(path: Path) -> dict[str, Any]:
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ModelNotAvailableError(f"the open_clip configuration {path} cannot be read: {err.strerror}") from err
    except ValueError as err:
        raise ModelNotAvailableError(f"the open_clip configuration {path} is not JSON; write it again") from err
    inner = described.get("model_cfg", described) if isinstance(described, dict) else None
    missing = [
        key for key in ("embed_dim", "vision_cfg", "text_cfg") if not isinstance(inner, dict) or key not in inner
    ]
    if missing:
        raise ModelNotAvailableError(
            f"the open_clip configuration {path} lacks {', '.join(missing)}; it needs embed_dim, vision_cfg "
            "and text_cfg"
        )
    found: dict[str, Any] = described
    return found


@contextmanager
def _load_errors(config: OpenClipConfig) -> Iterator[None]:
    """Raise errors of open_clip as `ModelNotAvailableError`."""
    where = f"{config.model} {config.pretrained}".strip()
    try:
        yield
    except MmrecError:
        raise
    except Exception as err:
        raise ModelNotAvailableError(f"open_clip model {where!r} cannot be loaded: {_reason(config, err)}") from err


def _reason(config: OpenClipConfig, err: Exception) -> str:
    """Cause and remedy of an exception of open_clip."""
    import open_clip

    text = str(err)
    if type(err).__name__ == "UnpicklingError" or "weights_only" in text.lower() or "Weights only" in text:
        named = re.search(r"GLOBAL ([\w.]+)", text) or re.search(r"load ([\w.]+) ", text)
        holds = (
            f"it names {named[1]}"
            if named
            else "it is TorchScript"
            if "TorchScript" in text
            else "it is no plain pickle"
        )
        return (
            f"the weights are a pickle that holds more than tensors ({holds}), which could run code, and was not "
            "opened; convert it to safetensors on a machine that may run it, or get the safetensors file"
        )
    if "Error(s) in loading state_dict" in text or "size mismatch" in text:
        detail = next((line.strip() for line in text.splitlines()[1:] if line.strip()), "other names or shapes")
        return f"the weights do not fit the configuration ({detail[:200]}); pass the two that belong together"
    built_in = ":" not in config.model and not config.model.endswith(".json")
    if built_in and open_clip.get_model_config(config.model.replace("/", "-")) is None:
        return f"open_clip has no model of this name (open_clip.list_models() lists them); pass another, {_INSTEAD}"
    tags = open_clip.list_pretrained_tags_by_model(config.model) if built_in else []
    if built_in and not Path(config.pretrained).expanduser().is_file() and config.pretrained not in tags:
        return f"it has no weights of this name, only {', '.join(tags) or 'none'}; pass one of them, {_INSTEAD}"
    return (
        f"its weights are damaged, or not on this machine and the hub cannot be reached ({type(err).__name__}); pass a "
        f"weights file (NAME@FILE.safetensors), a folder with {CONFIG_FILE}, {_INSTEAD}"
    )
