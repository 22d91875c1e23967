"""An agent for the scripted customer of tau-rec: conversations with a served bundle of its films.

``make(task)`` is what the script wants. The bundle is fitted once into the work folder (there are no events) and served
by this process on a free port; each conversation is a stream of its own.
"""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT, WORK
from mmrec import Client, Recommender
from mmrec.language.constraints import quoted
from mmrec.sdk.conversation import Conversation
from mmrec.training import fit_dataset
from mmrec.training.work_folder import dataset_fingerprint
from mmrec_serving import BackgroundServer


class TauAgent:
    """One conversation as the script holds it.

    Args:
        conversation: A conversation with the customer's history and standing condition.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def answer(self, message: str) -> tuple[str, str | None]:
        """What is said, and the item that it recommends."""
        turn = self._conversation.say(message)
        return turn.text, turn.item_ids[0] if turn.items else None


def make(task: dict[str, Any]) -> TauAgent:
    """An agent for one task; only its history and its services are read."""
    condition = " OR ".join(f"streaming_services:{quoted(service)}" for service in task["services"])
    return TauAgent(_client().converse(task["history"], filter=condition))


@cache
def _client() -> Client:
    """A client of a server that lives as long as this process."""
    bundle = fitted_bundle(Path(os.environ.get("MMREC_DATA") or ROOT.parent / "shared" / "data") / "tau-rec")
    server = BackgroundServer(lambda: Recommender.load(bundle, device="cpu"))
    return Client(server.__enter__().target, timeout=60.0)


def fitted_bundle(data: Path) -> Path:
    """A bundle of the films, fitted where there is none of these films yet."""
    dataset = WORK / "tau-rec" / "dataset"
    dataset.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(data / "items.jsonl", dataset / "items.jsonl")
    bundle = WORK / "tau-rec" / dataset_fingerprint(dataset)[:12]
    if not (bundle / "CURRENT").is_file():
        fit_dataset(dataset, bundle)
    return bundle
