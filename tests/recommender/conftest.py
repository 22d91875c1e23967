"""Recommenders of the demo's bundle, and what the demo is known to hold."""

from __future__ import annotations

from pathlib import Path

import pytest

import mmrec

ITEM_IDS = tuple(f"p{number:04}" for number in range(1, 61))
"""In the order of the catalogue's rows."""
WITHOUT_PICTURE = "p0046"


@pytest.fixture(scope="module")
def recommender(demo_bundle: Path) -> mmrec.Recommender:
    """One for questions alone."""
    return mmrec.Recommender.load(demo_bundle, device="cpu")


@pytest.fixture
def own(demo_bundle: Path) -> mmrec.Recommender:
    """One that a test may change."""
    return mmrec.Recommender.load(demo_bundle, device="cpu")


@pytest.fixture(scope="session")
def item_ids() -> list[str]:
    return list(ITEM_IDS)


@pytest.fixture(scope="session")
def pictures(demo_dataset: Path) -> list[bytes]:
    """Those of p0001 to p0008."""
    return [(demo_dataset / "images" / f"{item_id}.jpg").read_bytes() for item_id in ITEM_IDS[:8]]
