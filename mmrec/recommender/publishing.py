"""A changed catalogue as a new version of its bundle: nothing is trained, nothing encoded, nothing renumbered.

Unit of work: one version. What belongs to the catalogue is written anew, its vector index among it; what was fitted
(encoders, curves, metrics) is copied from the version that it came from. Rows of items that are gone are written as
such. Knows nothing about stores and requests.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmrec.bundle import Bundle, BundleWriter
from mmrec.recommender.artefact import CATALOGUE_FILES, HOLDS_CHANGES, write_parts
from mmrec.recommender.catalogue_update import settled
from mmrec.recommender.snapshot import Snapshot
from mmrec.runtime.progress import NO_PROGRESS, Progress

FOLDED = "folded"
"""Under this name a manifest's parameters tell of the changes that were folded in."""
MODEL_CARD = "MODEL_CARD.md"


def publish_snapshot(
    now: Snapshot, writer: BundleWriter, catalogue: str, folded: Mapping[str, Any], progress: Progress = NO_PROGRESS
) -> Path:
    """Write a snapshot and make it current; see `mmrec.Recommender.publish`."""
    parts, base = settled(now.parts), now.bundle
    write_parts(writer, parts, now.sides.features, now.sides.thumbnails, progress)
    versions = replace(base.manifest.versions, catalogue=catalogue)
    for name in base.manifest.files:
        if not name.startswith(CATALOGUE_FILES) and name != MODEL_CARD and not writer.path(name).exists():
            shutil.copyfile(base.path(name), writer.path(name))
    writer.write_text(MODEL_CARD, _card(base, now, catalogue))
    # What the dataset of the fit held says nothing of this catalogue.
    fitted = {name: value for name, value in base.manifest.parameters.items() if name != HOLDS_CHANGES}
    return writer.commit(versions=versions, parameters={**fitted, FOLDED: dict(folded)})


def _card(base: Bundle, now: Snapshot, catalogue: str) -> str:
    """What was said of the bundle, and what has become of it."""
    told = base.read_text(MODEL_CARD) if MODEL_CARD in base.manifest.files else ""
    before, heading, _ = told.partition(_HEADING)
    rows = now.parts.catalogue
    gone = len(rows) - rows.items
    lines = (
        f"{before if heading else told.rstrip()}",
        _HEADING,
        f"- Catalogue `{catalogue}`: {rows.items:,} items, and the rows of {gone:,} that are gone, in histories only",
        "- Changes were folded in without training; what is said above, figures included, is of the catalogue that it",
        "  was fitted on",
        "",
    )
    return "\n".join(lines)


_HEADING = "\n## What became of it\n"
