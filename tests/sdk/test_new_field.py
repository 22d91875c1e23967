"""A new field of a request is three edits: the proto, the dataclass, and the code that uses it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "mmrec/__init__.py",
    "mmrec/__init__.pyi",
    "mmrec/errors.py",
    "mmrec/contract",
    "mmrec/sdk",
    "mmrec/v1",
    "protos",
    "scripts",
)
USE = """
from mmrec import Client, Recommendations
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import InvalidArgumentError
from mmrec.sdk.rpcs import RECOMMEND
from mmrec.sdk.transport import EngineTransport
from mmrec.v1 import recommendation_pb2

seen = []

class Engine:
    def recommend_many(self, requests):
        seen.extend((request.season, request.climate) for request in requests)
        if requests[0].season == "monsoon":
            return [InvalidArgumentError("season is 'monsoon'; the catalogue has none", field="season")]
        return [Recommendations(request.season, ()) for request in requests]

def refused(call):
    try:
        call()
    except InvalidArgumentError as err:
        print([violation.field for violation in err.violations], err.message)

transport = EngineTransport(Engine())
with Client(transport=transport) as client:
    print(client.recommend(["a"], season="spring", climate=0.5).recommendation_id, client.recommend(["a"]).items, seen)
    refused(lambda: client.recommend(season="s" * 9))
    refused(lambda: client.recommend(season="monsoon"))
    (error,) = client.recommend_many([RecommendRequest(season="monsoon")])
    print([violation.field for violation in error.violations])
    message = recommendation_pb2.RecommendRequest(season="spring", climate=1.5)
    refused(lambda: transport.call(RECOMMEND.path, message.SerializeToString(), 1.0))
"""


def _edited(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def _run(root: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_new_field_arrives_after_an_edit_of_proto_and_dataclass(tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, tmp_path / part)
    _edited(
        tmp_path / "protos/mmrec/v1/recommendation.proto",
        "  double exploration_max_age_days = 26;\n",
        "  double exploration_max_age_days = 26;\n  string season = 901;\n  optional double climate = 902;\n",
    )
    _edited(
        tmp_path / "mmrec/contract/requests.py",
        '        Doc("Items to recommend more often, at most 100; their shares sum to at most 1."),\n    ] = ()\n',
        '        Doc("Items to recommend more often, at most 100; their shares sum to at most 1."),\n    ] = ()\n'
        '    season: Annotated[str, Text(8), Doc("When the items are for.")] = ""\n'
        '    climate: Annotated[float | None, Share("0 (cold) and 1 (hot)"), Doc("Where.")] = None\n',
    )
    _run(tmp_path, "scripts/generate_protos.py")
    _run(tmp_path, "scripts/generate_sdk.py")

    assert _run(tmp_path, "-c", USE).splitlines() == [
        "spring () [('spring', 0.5), ('', None)]",
        "['season'] season has 9 characters; at most 8 are accepted: shorten it",
        "['season'] season is 'monsoon'; the catalogue has none",
        "['requests[0].season']",
        "['climate'] climate is 1.5; it must lie between 0 (cold) and 1 (hot)",
    ]
    options = (tmp_path / "mmrec/sdk/options.py").read_text(encoding="utf-8")
    assert "season: When the items are for." in options
    assert "climate: float | None" in options
