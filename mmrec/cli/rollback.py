"""`mmrec rollback`: an earlier version of a bundle becomes the current one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.output import Output


def rollback(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle folder, with all its versions.")],
    to: Annotated[
        str, typer.Option("--to", metavar="VERSION", help="The version; without it: the one before the current one.")
    ] = "",
    *,
    store: Annotated[
        str,
        typer.Option("--store", metavar="FOLDER|URL", help="Of `mmrec serve --store`: refuse a version too far back."),
    ] = "",
    output: Output,
) -> None:
    """Make an earlier version of a bundle the current one; its files are checked first.

    A running server goes back to it after a SIGHUP, or by itself with --watch, while requests are answered. Changes and
    events that were recorded since are kept: a server keeps what the version before lacks, so one step back loses
    nothing. Farther back, changes that both later versions include are no longer in the store, and a server refuses
    such a version; with --store, so does this command. The same command with --to goes forward again.

    Example:
        mmrec rollback bundle/
        mmrec rollback bundle/ --to 20260131T093000Z-0123456789ab --store changes/

    Raises:
        NotFoundError: there is no such bundle, version or store.
        FailedPreconditionError: no version is older, another process writes to the bundle, or the store cannot go back
            to this version.
        BundleError: the version is damaged.
    """
    from mmrec.bundle import make_current, open_bundle, version_before
    from mmrec.bundle.reader import VERSIONS

    version = to or version_before(bundle)
    if store:
        from mmrec_serving.change_log import read_changes
        from mmrec_serving.store_place import store_place
        from mmrec_serving.updates.bundle_position import changes_held

        with read_changes(store_place(store)) as reader:
            changes_held(reader.state(), open_bundle(bundle / VERSIONS / version))
    before = make_current(bundle, version)
    output.data({"version": version, "before": before})
    output.table("", ("what", "value"), [("current version", version), ("before", before)])
