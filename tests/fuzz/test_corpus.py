"""Inputs that fuzzing kept, and those it began with, end in a value or an error of ours; without atheris."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from mmrec.errors import InternalError, InvalidArgumentError
from mmrec.recommender import Recommender
from mmrec.sdk.rpcs import RPCS
from tests.fuzz.targets import Target, targets

CORPUS = Path(__file__).parent / "corpus"


@pytest.fixture(scope="module")
def known(demo_bundle: Path) -> Mapping[str, Target]:
    return targets(Recommender.load(demo_bundle, device="cpu"))


def test_every_rpc_is_a_target_and_every_folder_of_the_corpus_is_of_one(known: Mapping[str, Target]) -> None:
    assert {path.rpartition("/")[2] for path in RPCS} <= set(known)
    assert {folder.name for folder in CORPUS.iterdir()} <= set(known)


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*")) < 300_000


def test_what_was_kept_ends_as_it_may(known: Mapping[str, Target]) -> None:
    accepted = dict[str, int]()
    for name, target in known.items():
        kept = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
        accepted[name] = sum(map(target.run, [*target.seeds, *kept]))
    # Of each reader something is accepted, or only its refusals would be tested.
    assert [name for name, count in accepted.items() if not count] == ["PredictRating"]


def _raises(error: Exception) -> Target:
    def execute(data: bytes) -> None:
        raise error

    return Target(execute, ())


def test_what_is_no_error_of_a_caller_is_a_finding() -> None:
    assert not _raises(InvalidArgumentError("bad")).run(b"")
    with pytest.raises(InternalError):
        _raises(InternalError("bug")).run(b"")
    with pytest.raises(ZeroDivisionError):
        _raises(ZeroDivisionError()).run(b"")
