"""What peers are given and what they give back: training histories and questions in, ranked lists out, as arrays.

Peers run in an environment and a process of their own. They are asked the same questions, stop early by the same
validation users, and their lists are measured by mmrec's metrics. Knows nothing of what they are.
"""

# Axes: U users, E events, V validation users, Q questions, F features of items, N items, K list length

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import child
from benchmarks.options import Options
from benchmarks.quality_pieces import Piece
from benchmarks.quality_sets import EVERY_RATING
from benchmarks.quality_store import Key, save_ranks
from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.dataset import Need, read_dataset
from mmrec.data.splits import evenly, leave_one_out
from mmrec.evaluation.metrics import Ranks, ranks_in_lists
from mmrec.generator.config import TrainingConfig

SCRIPTS = {
    "sasrec": "rectools_peer",
    "sasrec-features": "rectools_peer",
    "hstu": "rectools_peer",
    "tiger": "tiger_peer",
}
READS_VECTORS = ("tiger",)
EPOCHS, PATIENCE = 200, 10
RAREST = 2


def run_peer(piece: Piece, dataset: Path, require: Need, folder: Path, options: Options) -> dict[str, Any]:
    """Train a peer, let it answer the test questions, and keep where the targets landed."""
    data = read_dataset(dataset, require=require, min_rating=EVERY_RATING)
    split = leave_one_out(data.interactions)
    text_NT = np.zeros((len(data.catalogue), 1), np.float32)
    if piece.variant in READS_VECTORS:
        out = folder / "text.npy"
        child.call(
            "benchmarks.quality_fit:text_vectors",
            options.threads,
            as_command=True,
            dataset=str(dataset),
            require=require,
            out=str(out),
            device=options.device,
        )
        text_NT = np.load(out, allow_pickle=False)
    # The users that the generator's own early stopping watches.
    chosen = evenly(len(split.validation.targets_U), TrainingConfig().validation_users)
    features = categories_of(data.catalogue)
    exchange = folder / "given.npz"
    np.savez(
        exchange,
        train_offsets_U=split.train.offsets_U,
        train_items_E=split.train.items_E,
        validation_users_V=split.validation.users_U[chosen],
        validation_targets_V=split.validation.targets_U[chosen],
        test_offsets_Q=np.concatenate([[0], np.cumsum([len(history) for history in split.test.histories])]),
        test_items_E=np.concatenate(split.test.histories),
        text_NT=text_NT,
        feature_items_F=np.array([row for row, _, _ in features], np.int64),
        feature_names_F=np.array([name for _, name, _ in features], str),
        feature_values_F=np.array([value for _, _, value in features], str),
    )
    lists = folder / "lists.npz"
    allowed = 0.2 if options.quick else options.peer_minutes
    result = child.run_script(
        options.peers / "bin" / "python",
        Path(__file__).with_name(f"{SCRIPTS[piece.variant]}.py"),
        options.threads,
        model=piece.variant,
        data=str(exchange),
        out=str(lists),
        seed=piece.seed,
        minutes=allowed,
        epochs=2 if options.quick else EPOCHS,
        patience=PATIENCE,
        device="cuda" if options.device == "cuda" else "cpu",
    )
    with np.load(lists, allow_pickle=False) as file:
        ranks: dict[Key, Ranks] = {
            (piece.variant, seen): ranks_in_lists(_as_rows(file[f"{seen}_QK"]), split.test.targets_U)
            for seen in ("removed", "kept")
        }
    save_ranks(folder / "ranks.npz", ranks)
    return {**result, "minutes_allowed": allowed}


def categories_of(catalogue: Catalogue) -> list[tuple[int, str, str]]:
    """Row, column and value of every entry of the attribute columns that at least `RAREST` items share.

    Entries of a column are what stands between bars, as in ``Drama|War``.
    """
    found = [
        (row, name, entry.strip())
        for name, values in catalogue.attributes.items()
        for row, value in enumerate(values)
        for entry in dict.fromkeys(value.split("|"))
        if entry.strip()
    ]
    counts: dict[tuple[str, str], int] = {}
    for _, name, value in found:
        counts[name, value] = counts.get((name, value), 0) + 1
    return [entry for entry in found if counts[entry[1:]] >= RAREST]


def _as_rows(lists_QK: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    return lists_QK.astype(np.int64)
