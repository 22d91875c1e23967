"""Compaction: recorded changes become a new version of the bundle, while requests are answered.

Unit of work: one new version. The bundle folder is locked all the time, so that there is one compaction at a time. The
store records the coming version (`announce`) before it is published, so that a kill leaves the old base or the new one,
and the store opens correctly with either. A server compacts in another process (`compaction_process`) and writes to the
store itself, which only one process may do. Knows nothing about requests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmrec.bundle import BundleWriter, current_version, open_bundle
from mmrec.bundle.manifest import MANIFEST
from mmrec.errors import FailedPreconditionError
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec_serving.change_log import ChangeReader
from mmrec_serving.change_log.failpoints import Failpoint, no_failpoint
from mmrec_serving.updates.bundle_position import open_store
from mmrec_serving.updates.replay import catalogue_name, replay_changes


@dataclass(frozen=True, slots=True)
class Folded:
    """A new version of a bundle.

    Attributes:
        version: Its name, also that of its folder.
        catalogue: Version of its catalogue.
        upto: It includes all changes up to this number.
        changes: Number of these that its base did not include.
        items: Items in its catalogue.
    """

    version: str
    catalogue: str
    upto: int
    changes: int
    items: int


def fold(
    bundle: Path,
    reader: ChangeReader,
    announce: Callable[[str, int], None],
    *,
    progress: Progress = NO_PROGRESS,
    failpoint: Failpoint = no_failpoint,
) -> Folded | None:
    """Write a new version of a bundle with all recorded changes; None if there are none.

    Nothing is trained, and nothing is encoded if the stored vectors fit the encoders. It computes on the CPU.

    Args:
        bundle: The bundle folder; its current version is the base of the changes.
        reader: The changes.
        announce: Records in the store the coming catalogue version and the last change in it; called before anything
            is published, and an error of it ends the compaction without a new version.
        progress: Reports the steps.
        failpoint: For tests.

    Raises:
        FailedPreconditionError: `bundle` is one version and not a bundle folder; another process writes to it; or its
            current version is not the base of the changes.
    """
    from mmrec.recommender import Recommender

    if (bundle / MANIFEST).is_file():
        raise FailedPreconditionError(
            f"{str(bundle)!r} is one version of a bundle, and folding makes another one beside it; name the folder of "
            "all versions"
        )
    current_version(bundle)
    with BundleWriter(bundle, preset="", name="", at=failpoint) as writer:
        recommender = Recommender.load(bundle, device="cpu")
        writer.preset, writer.name = recommender.bundle.manifest.preset, recommender.bundle.manifest.name
        state = reader.state()
        base = recommender.info().versions.catalogue
        if base != state.base:
            raise FailedPreconditionError(
                f"the current version of {str(bundle)!r} is of the catalogue {base!r}, and the changes are to "
                f"{state.base!r}; serve it, or open the store for it, first"
            )
        upto = state.position
        progress.start("replaying changes", max(0, upto - state.folded), "changes")
        if upto <= state.folded:
            progress.finish("no changes")
            return None
        replay_changes(recommender, reader.replay(), lambda last: catalogue_name(state, last), upto)
        progress.finish(f"changes {state.folded + 1:,} to {upto:,} replayed")
        failpoint("replayed")
        following = catalogue_name(state, upto)
        announce(following, upto)
        failpoint("announced")
        folded = {"from": recommender.bundle.version, "upto": upto}
        folder = recommender.publish(writer, catalogue=following, folded=folded, progress=progress)
    failpoint("published")
    return Folded(folder.name, following, upto, upto - state.folded, recommender.info().items)


def fold_offline(
    bundle: Path, store: Path | str, *, progress: Progress = NO_PROGRESS, failpoint: Failpoint = no_failpoint
) -> Folded | None:
    """Compact the changes of a store that no server uses, and drop those that the version before has; None: none.

    Raises:
        FailedPreconditionError: see `fold`; or a server has the store.
    """
    with open_store(store, open_bundle(bundle)) as changes:
        folded = fold(bundle, changes, changes.announce, progress=progress, failpoint=failpoint)
        if folded is not None:
            changes.rebase(folded.catalogue, folded.upto)
            failpoint("rebased")
        changes.drop_folded(changes.state().needless)
        failpoint("dropped")
    return folded
