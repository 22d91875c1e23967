"""`mmrec fold`: compaction of the recorded changes of a catalogue into a new version of its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.output import Output
from mmrec.errors import NotFoundError


def fold(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle folder; it gets a new version.")],
    store: Annotated[
        str, typer.Option("--store", metavar="FOLDER|URL", help="Folder or database of `mmrec serve --store`.")
    ],
    *,
    output: Output,
) -> None:
    """Compaction: write the recorded changes of a catalogue into a new version of its bundle, and drop them.

    Nothing is trained, and recommendations stay the same. After a kill, the old or the new version is complete, and the
    same command resumes. No server may be using a folder; a running server compacts it by itself (mmrec serve
    --fold-after). Servers that share a database go on meanwhile, and serve the new version after a SIGHUP.

    Example:
        mmrec fold bundle/ --store changes/

    Raises:
        NotFoundError: there is no such bundle or store.
        FailedPreconditionError: a server uses the store, or its changes belong to another catalogue.
    """
    from mmrec_serving.sqlite_files import StoreFolder
    from mmrec_serving.store_place import store_place

    place = store_place(store)
    folders = [(bundle, "bundle"), *([(place.folder, "store")] if isinstance(place, StoreFolder) else [])]
    for folder, what in folders:
        if not folder.is_dir():
            raise NotFoundError(f"there is no {what} folder {str(folder)!r}; name the one that `mmrec serve` uses")

    from mmrec_serving.updates.compaction import fold_offline

    folded = fold_offline(bundle, store, progress=output.progress())
    output.data({"folded": folded})
    if folded is None:
        output.note("the bundle already contains all recorded changes")
        return
    rows = [
        ("new version", folded.version),
        ("catalogue version", folded.catalogue),
        ("changes written", f"{folded.changes:,}"),
        ("items", f"{folded.items:,}"),
    ]
    output.table("", ("what", "value"), rows)
