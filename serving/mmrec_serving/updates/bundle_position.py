"""Which recorded changes a bundle includes, and opening a store for a bundle.

Unit of work: one bundle and one store. A store belongs to one line of bundles: the bundle it was made for, compactions
of it, and bundles fitted again in the same folder; it can go back to the one before. Other bundles are refused, because
their items are different. Knows nothing about engines and requests.
"""

from __future__ import annotations

from pathlib import Path

from mmrec.bundle import Bundle, current_version
from mmrec.bundle.manifest import MANIFEST, parse_manifest
from mmrec.bundle.reader import VERSIONS
from mmrec.errors import BundleError, FailedPreconditionError, NotFoundError
from mmrec_serving.change_log import ChangeStore, StoreState, open_changes, read_changes
from mmrec_serving.store_place import store_place


def changes_held(state: StoreState, bundle: Bundle) -> int:
    """Number of the last change that a bundle includes, with all before it; 0: none.

    Args:
        state: State of the store.
        bundle: The bundle to serve with it.

    Raises:
        FailedPreconditionError: the bundle is of another line, or was fitted again and does not state which changes
            that are no longer in the store it includes.
    """
    from mmrec.recommender.artefact import HOLDS_CHANGES

    base = bundle.manifest.versions.catalogue
    if base == state.base:
        return state.folded
    if base == state.successor:
        return state.successor_holds
    if base == state.previous:
        return state.previous_holds
    stated = bundle.manifest.parameters.get(HOLDS_CHANGES)
    if isinstance(stated, int) and not isinstance(stated, bool):
        if state.dropped <= stated <= state.position:
            return stated
        raise FailedPreconditionError(
            f"the bundle {bundle.version} says that its dataset holds changes up to {stated}; the store has changes "
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
            f"changes 1 to {state.dropped} of the store were compacted into {state.base!r} and dropped, and which of "
            f"them the bundle {bundle.version}, of the catalogue {base!r}, holds is not known. An older version than "
            f"that of {state.previous or state.base!r} cannot be gone back to. If it is a new fit, fit with "
            "--holds-changes N, where N is the number at the end of the catalogue's version that the dataset was taken "
            f"from (at least {state.dropped})"
        )
    return 0


def published_catalogue(root: Path) -> str:
    """Catalogue version of the current version in a bundle folder; only its manifest is read.

    Raises:
        BundleError: nothing is published there, or its manifest is damaged.
    """
    path = root / VERSIONS / current_version(root) / MANIFEST
    return parse_manifest(path.read_bytes(), str(path)).versions.catalogue


def open_store(store: Path | str, bundle: Bundle) -> ChangeStore:
    """Open, or make, a store for a bundle; a bundle that was fitted again becomes its base.

    Args:
        store: Folder or URL; see `store_place`.
        bundle: The bundle.

    Raises:
        FailedPreconditionError: see `changes_held`; or another process writes to it, or it cannot be used.
        BundleError: it is damaged.
    """
    place, base = store_place(store), bundle.manifest.versions.catalogue
    try:
        with read_changes(place) as reader:
            state = reader.state()
    except NotFoundError:
        return open_changes(place, base)
    if base in (state.base, state.successor):
        return open_changes(place, base)
    holds = changes_held(state, bundle)
    opened = open_changes(place, state.base)
    try:
        opened.rebase(base, holds)
    except BaseException:
        opened.close()
        raise
    return opened


def _same_line(bundle: Bundle, catalogue: str) -> bool:
    """Whether another version in the bundle's folder is of that catalogue."""
    for folder in bundle.folder.parent.iterdir():
        path = folder / MANIFEST
        try:
            if path.is_file() and parse_manifest(path.read_bytes(), str(path)).versions.catalogue == catalogue:
                return True
        except (OSError, BundleError):
            continue  # a damaged version proves nothing
    return False
