"""`mmrec fold`: recorded changes of a catalogue into a new version of its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.options import JsonFlag, QuietFlag
from mmrec.cli.output import Output
from mmrec.errors import NotFoundError


def fold(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle folder; it gets a new version.")],
    store: Annotated[Path, typer.Option("--store", metavar="FOLDER", help="Where `mmrec serve --store` kept changes.")],
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Write a new version of a bundle with all recorded changes of its catalogue, and drop them from the store.

    Nothing is trained, and everybody is recommended what they were before. It is for a store that no server holds; a
    running server folds by itself (mmrec serve --fold-after). Killed at any point, it leaves the old version or the new
    one, and the same command goes on.

    Example:
        mmrec fold bundle/ --store changes/

    Raises:
        NotFoundError: there is no such bundle or store.
        FailedPreconditionError: a server has the store, or it has changes to another catalogue.
    """
    for folder, what in ((bundle, "bundle"), (store, "store")):
        if not folder.is_dir():
            raise NotFoundError(f"there is no {what} folder {str(folder)!r}; name the one that `mmrec serve` has")

    from mmrec_serving.updates.compaction import fold_offline

    out = Output(json=json, quiet=quiet)
    folded = fold_offline(bundle, store, progress=out.progress())
    out.data({"folded": folded})
    if folded is None:
        out.note("no changes are recorded that the bundle does not hold already")
        return
    rows = [
        ("new version", folded.version),
        ("catalogue version", folded.catalogue),
        ("changes folded in", f"{folded.changes:,}"),
        ("items", f"{folded.items:,}"),
    ]
    out.table("", ("what", "value"), rows)
