"""The changes of a store that a bundle holds already, and a store opened for a bundle.

Unit of work: one bundle beside one store. A store belongs to one line of bundles: the one it was made for, those that
its changes were folded into, and those that were fitted anew in the same bundle folder. A bundle of any other line is
refused, since its items are others. Knows nothing of engines and requests.
"""

from __future__ import annotations

from pathlib import Path

from mmrec.bundle import Bundle, current_version
from mmrec.bundle.manifest import MANIFEST, parse_manifest
from mmrec.bundle.reader import VERSIONS
from mmrec.errors import BundleError, FailedPreconditionError
from mmrec_serving.change_log import SqliteChangeReader, SqliteChangeStore, StoreConfig, StoreState
from mmrec_serving.change_log.sqlite_file import STORE_FILE


def changes_held(state: StoreState, bundle: Bundle) -> int:
    """Number of the last change that a bundle holds, all before it included; 0: it holds none.

    Args:
        state: Of the store.
        bundle: The one to serve with it.

    Raises:
        FailedPreconditionError: the bundle is of another line, or was fitted anew and does not say what it holds of
            changes that are no longer in the store.
    """
    from mmrec.recommender.artefact import HOLDS_CHANGES

    base = bundle.manifest.versions.catalogue
    if base == state.base:
        return state.folded
    if base == state.successor:
        return state.successor_holds
    said = bundle.manifest.parameters.get(HOLDS_CHANGES)
    if isinstance(said, int) and not isinstance(said, bool):
        if state.dropped <= said <= state.position:
            return said
        raise FailedPreconditionError(
            f"the bundle {bundle.version} says that its dataset holds changes up to {said}; the store has changes "
            f"{state.dropped + 1} to {state.position}: fit with --holds-changes N for an N from {state.dropped} to "
            f"{state.position}"
        )
    if not _same_line(bundle, state.base):
        raise FailedPreconditionError(
            f"the store has changes to the catalogue {state.base!r}, and the bundle {bundle.version} is of the "
            f"catalogue {base!r}, which is no later version of it. Nothing is lost: serve a bundle of {state.base!r}, "
            "or give a new store folder"
        )
    if state.dropped:
        raise FailedPreconditionError(
            f"the bundle {bundle.version} was fitted anew, and changes 1 to {state.dropped} of the store were folded "
            f"into {state.base!r} and dropped: whether the dataset it was fitted on holds them is not known. Fit with "
            "--holds-changes N, where N is the number at the end of the catalogue's version that the dataset was taken "
            f"from (at least {state.dropped})"
        )
    return 0


def published_catalogue(root: Path) -> str:
    """Version of the catalogue of the version that is current in a bundle folder; nothing but its manifest is read.

    Raises:
        BundleError: nothing is published there, or its manifest is damaged.
    """
    path = root / VERSIONS / current_version(root) / MANIFEST
    return parse_manifest(path.read_bytes(), str(path)).versions.catalogue


def open_store(folder: Path, bundle: Bundle) -> SqliteChangeStore:
    """The store of a folder for a bundle, made where there is none; a bundle that was fitted anew becomes its base.

    Raises:
        FailedPreconditionError: see `changes_held`; or another process writes to it, or it cannot be used.
        BundleError: it is damaged.
    """
    config, base = StoreConfig(folder), bundle.manifest.versions.catalogue
    if not (folder / STORE_FILE).exists():
        return SqliteChangeStore(config, base)
    with SqliteChangeReader(config) as reader:
        state = reader.state()
    if base in (state.base, state.successor):
        return SqliteChangeStore(config, base)
    holds = changes_held(state, bundle)
    store = SqliteChangeStore(config, state.base)
    try:
        store.rebase(base, holds)
    except BaseException:
        store.close()
        raise
    return store


def _same_line(bundle: Bundle, catalogue: str) -> bool:
    """Whether a version beside the bundle's is of that catalogue."""
    for folder in bundle.folder.parent.iterdir():
        path = folder / MANIFEST
        try:
            if path.is_file() and parse_manifest(path.read_bytes(), str(path)).versions.catalogue == catalogue:
                return True
        except (OSError, BundleError):
            continue  # what is damaged proves nothing
    return False
