"""Writing a changed catalogue as a new version of its bundle: nothing is trained, encoded or renumbered.

Unit of work: one version. The files of the catalogue, its vector index included, are written anew; fitted files
(encoders, curves, metrics) are copied from the version before. Rows of deleted items stay, marked as deleted. Knows
nothing about stores and requests.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmrec.bundle import Bundle, BundleWriter
from mmrec.recommender.artefact import CATALOGUE_FILES, HOLDS_CHANGES, write_parts
from mmrec.recommender.catalogue_update import with_whole_table
from mmrec.recommender.snapshot import Snapshot
from mmrec.runtime.progress import NO_PROGRESS, Progress

FOLDED = "folded"
"""Key of a manifest's parameters: the changes that a compaction has merged into the bundle."""
MODEL_CARD = "MODEL_CARD.md"


def publish_snapshot(
    now: Snapshot, writer: BundleWriter, catalogue: str, folded: Mapping[str, Any], progress: Progress = NO_PROGRESS
) -> Path:
    """Write a snapshot and make it current; see `mmrec.Recommender.publish`."""
    parts, base = with_whole_table(now.parts), now.bundle
    write_parts(writer, parts, now.vectors.features, now.vectors.thumbnails, progress)
    versions = replace(base.manifest.versions, catalogue=catalogue)
    for name in base.manifest.files:
        if not name.startswith(CATALOGUE_FILES) and name != MODEL_CARD and not writer.path(name).exists():
            shutil.copyfile(base.path(name), writer.path(name))
    writer.write_text(MODEL_CARD, _card(base, now, catalogue))
    # `HOLDS_CHANGES` is about the dataset of the fit, not about this catalogue.
    fitted = {name: value for name, value in base.manifest.parameters.items() if name != HOLDS_CHANGES}
    return writer.commit(versions=versions, parameters={**fitted, FOLDED: dict(folded)})


def _card(base: Bundle, now: Snapshot, catalogue: str) -> str:
    """The model card of the base, and after it what has changed since the fit."""
    card = base.read_text(MODEL_CARD) if MODEL_CARD in base.manifest.files else ""
    before, heading, _ = card.partition(_HEADING)
    rows = now.parts.catalogue
    deleted = len(rows) - rows.items
    lines = (
        f"{before if heading else card.rstrip()}",
        _HEADING,
        f"- Catalogue `{catalogue}`: {rows.items:,} items, and {deleted:,} deleted items that remain in histories only",
        "- Changes were added by compaction, without training; the text and figures above describe the catalogue that",
        "  it was fitted on",
        "",
    )
    return "\n".join(lines)


_HEADING = "\n## What became of it\n"
