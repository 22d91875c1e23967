"""The dashboard asks for nothing that a real server does not tell."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from mmrec.contract.engine import CacheUse, EngineFigures
from mmrec.contract.events import UserEvent
from mmrec.errors import NotFoundError
from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import FakeEngine

OF_PROMETHEUS = {"job", "instance", "le"}
"""Labels that Prometheus adds, and that of buckets."""


class Measured(FakeEngine):
    def figures(self) -> EngineFigures:
        return EngineFigures(0, {"filters": CacheUse()})


@pytest.fixture(scope="module")
def dashboard(project_root: Path) -> Any:
    return json.loads((project_root / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def told() -> str:
    """All that a server tells which has answered, failed and recorded something."""
    config = ServerConfig(port=0, changes_in_memory=True, metrics_port=0)
    with BackgroundServer(Measured, config) as server, Client(server.target) as client:
        client.recommend(["item-1"])
        with pytest.raises(NotFoundError):
            client.similar("nothing")
        client.record_events([UserEvent("item-2", "view", "u", recommendation_id="r-1")])
        with urlopen(f"http://{server.metrics_address}/metrics", timeout=10) as reply:
            return str(reply.read(), "utf-8")


def expressions(dashboard: Any) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def test_every_metric_of_the_dashboard_exists(dashboard: Any, told: str) -> None:
    asked = set(re.findall(r"\b(?:mmrec|grpc|process)_\w+(?=\{)", " ".join(expressions(dashboard))))
    known = set(re.findall(r"^# TYPE (\w+) (?:counter|gauge)$", told, re.MULTILINE))
    for name in re.findall(r"^# TYPE (\w+) histogram$", told, re.MULTILINE):
        known |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    assert len(asked) > 20
    assert asked - known == set()


def test_every_label_of_the_dashboard_exists(dashboard: Any, told: str) -> None:
    text = " ".join(expressions(dashboard))
    asked = {label.strip() for group in re.findall(r"by \(([^)]*)\)", text) for label in group.split(",")}
    asked |= set(re.findall(r"(\w+)(?:=~|!=|=)\\?\"", text))
    known = set(re.findall(r"[{,](\w+)=\"", told)) | OF_PROMETHEUS
    # These are of metrics without a value as long as nothing is refused or stored.
    assert asked - known == {"reason", "store"}


def test_every_metric_of_a_server_is_on_the_dashboard(dashboard: Any, told: str) -> None:
    shown = " ".join(expressions(dashboard))
    ours = re.findall(r"^# TYPE ((?:mmrec|grpc)_\w+) \w+$", told, re.MULTILINE)
    assert [name for name in ours if name not in shown and not name.endswith("_created")] == []


def test_panels_have_names_of_their_own_and_do_not_overlap(dashboard: Any) -> None:
    panels = dashboard["panels"]
    assert len({panel["title"] for panel in panels}) == len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
