"""Bundles that differ from a sound one in a file or two, published by the real writer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmrec.bundle import BundleWriter, open_bundle


def rewritten(
    bundle: Path,
    root: Path,
    *,
    without: Collection[str] = (),
    tensors: Mapping[str, Mapping[str, np.ndarray[Any, Any]]] | None = None,
) -> Path:
    """A copy at `root` whose hashes are right, without some files and with other tensors in some."""
    tensors = tensors or {}
    source = open_bundle(bundle)
    with BundleWriter(root, preset=source.manifest.preset, name=source.manifest.name) as writer:
        for name in source.manifest.files:
            if name not in without and name not in tensors:
                writer.path(name).write_bytes((source.folder / name).read_bytes())
        for name, content in tensors.items():
            writer.write_tensors(name, content)
        writer.commit(versions=source.manifest.versions, parameters={})
    return root
