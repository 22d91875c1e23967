"""Recommenders of the demo's bundle, and what the demo is known to hold."""

from __future__ import annotations

from pathlib import Path

import pytest

import mmrec

ITEM_IDS = tuple(f"p{number:04}" for number in range(1, 61))
"""In the order of the catalogue's rows."""
WITHOUT_PICTURE = "p0046"


@pytest.fixture(scope="session")
def first(demo_bundle: Path) -> mmrec.Recommender:
    """One that nobody changes or asks; others share its encoders, which take most of the time to load."""
    return mmrec.Recommender.load(demo_bundle, device="cpu")


@pytest.fixture(scope="module")
def recommender(first: mmrec.Recommender) -> mmrec.Recommender:
    """One for questions alone."""
    return first.load_current()


@pytest.fixture
def own(first: mmrec.Recommender) -> mmrec.Recommender:
    """One that a test may change."""
    return first.load_current()


@pytest.fixture(scope="session")
def item_ids() -> list[str]:
    return list(ITEM_IDS)


@pytest.fixture(scope="session")
def pictures(demo_dataset: Path) -> list[bytes]:
    """Those of p0001 to p0008."""
    return [(demo_dataset / "images" / f"{item_id}.jpg").read_bytes() for item_id in ITEM_IDS[:8]]
