"""The artefact on disk: what training makes and serving loads. Knows nothing of models or catalogues.

In: files of a new version. Out: a version that is published whole, and versions that are loaded whole or not at all.

A bundle root is a folder::

    CURRENT                      one line: the version to load
    versions/<version>/          immutable; version: UTC time of publication and a short content hash
        manifest.json            written last: size and sha256 of every other file
        ...                      JSON, text, Parquet and safetensors files, in subfolders where wanted
    .mmrec-staging/, .mmrec-lock belong to the writer; readers never look there

`BundleWriter` publishes a version atomically; `open_bundle` loads one whole or raises. Nothing is pickled, and a file
is parsed only after its hash was checked.
"""

from __future__ import annotations

from mmrec.bundle.manifest import FORMAT, FileEntry, Manifest
from mmrec.bundle.reader import Bundle, current_version, open_bundle
from mmrec.bundle.writer import BundleWriter, make_current, prune_versions, version_before

__all__ = [
    "FORMAT",
    "Bundle",
    "BundleWriter",
    "FileEntry",
    "Manifest",
    "current_version",
    "make_current",
    "open_bundle",
    "prune_versions",
    "version_before",
]
