"""What a metrics endpoint says, for tests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.request import urlopen

Values = Mapping[str, float]


def scrape(address: str) -> Values:
    """Every value by its name with labels, as it is written."""
    with urlopen(f"http://{address}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def wait_for(address: str, name: str, value: float) -> Values:
    """Values where this one is as expected; a call is counted a moment after its client has its status."""
    end = time.monotonic() + 30
    while (found := scrape(address)).get(name) != value:
        assert time.monotonic() < end, f"{name} is {found.get(name)}"
        time.sleep(0.01)
    return found
