"""Conversations with the scripted customer of tau-rec, over a served bundle, beside the best-rated film.

The customer, its tasks and its phrases lie with the data; ``tau_rec_phrases.json`` has other wordings of the same
statements. pass^k is the chance that k conversations of a task all end well, with intervals over tasks.
"""

from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.options import Options
from benchmarks.report import Report, file_hashes
from benchmarks.tau_rec import make

OTHER_PHRASES = Path(__file__).with_name("tau_rec_phrases.json")
SEEDS = 5


class BestRated:
    """The floor: the best-rated films on the customer's services, one after the other, whatever is said.

    Args:
        films: Every film.
        task: Its history and services are read.
    """

    def __init__(self, films: list[dict[str, Any]], task: dict[str, Any]) -> None:
        services = set(task["services"])
        left = [
            film
            for film in films
            if film["item_id"] not in task["history"] and (not services or services & set(film["streaming_services"]))
        ]
        self._left = sorted(left, key=lambda film: film["rating"] or 0.0)

    def answer(self, message: str) -> tuple[str, str | None]:
        """The next film."""
        film = self._left.pop()
        note = " It is sponsored." if film["sponsored"] else ""
        return f"I suggest {film['title']}.{note}", film["item_id"]


def run(options: Options) -> None:
    """Measure and publish the table."""
    data = options.data / "tau-rec"
    customer = _customer(options.data.parent / "tools" / "scripted_customer.py")
    films = [json.loads(line) for line in (data / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    tasks = json.loads((data / "tasks.json").read_text(encoding="utf-8"))
    seeds = 1 if options.quick else SEEDS
    agents: dict[str, Callable[[dict[str, Any]], Any]] = {
        "best-rated film on the customer's services": lambda task: BestRated(films, task),
        "mmrec, over gRPC": make,
    }
    rows, failures = [], {}
    for phrases_name, path in (("the data's", data / "phrases.json"), ("other wordings", OTHER_PHRASES)):
        phrases = json.loads(path.read_text(encoding="utf-8"))
        for name, agent in agents.items():
            table = {film["item_id"]: film for film in films}
            results = [
                [customer.converse(task, table, phrases, agent, seed) for seed in range(seeds)] for task in tasks
            ]
            turns = [one["turns"] for runs in results for one in runs if one["passed"]]
            failures[f"{name}, {phrases_name}"] = sorted(
                {one["why"] for runs in results for one in runs if not one["passed"]}
            )
            cells: list[Any] = []
            for k in (1, 4):
                passed = [customer.pass_at([one["passed"] for one in runs], min(k, seeds)) for runs in results]
                low, high = customer.interval(passed, random.Random(0))
                cells += [round(sum(passed) / len(passed), 4), f"{low:.3f}-{high:.3f}"]
            rows.append((phrases_name, name, *cells, round(sum(turns) / max(1, len(turns)), 2)))
    Report(
        "language-conversation",
        f"tau-rec: {len(tasks)} tasks over {len(films)} films without a single event, {seeds} seeds; a "
        "scripted customer, judged by predicates. No language model; texts are templates.",
        ("phrases", "agent", "pass^1", "95% over tasks", "pass^4", "95% over tasks", "turns until accepted"),
        rows,
        data=file_hashes(data, "items.jsonl", "tasks.json", "phrases.json")
        | file_hashes(OTHER_PHRASES.parent, OTHER_PHRASES.name),
        details={"failures": failures},
        notes=("The other wordings were written after the policy and before its last three corrections.",),
        rehearsal=options.quick,
    ).publish()


def _customer(path: Path) -> ModuleType:
    """The script of the customer, as a module."""
    spec = importlib.util.spec_from_file_location("scripted_customer", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SystemExit(f"there is no scripted customer at {path}; name the data folder with --data")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
