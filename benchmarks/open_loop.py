"""Recommendations asked for at a steady rate, in a process of its own.

Requests are sent when they are due, whether or not those before have been answered, and their time counts from then.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np

from mmrec.errors import MmrecError
from mmrec.sdk.aio import AsyncClient


def ask(
    target: str, item_ids: list[str], per_second: int, history: int, k: int, seconds: float = 3600.0, until: str = ""
) -> dict[str, Any]:
    """Milliseconds of each answer and when it was due (``took``), when those were due that failed, and some errors.

    Args:
        target: Of the server.
        item_ids: What histories are drawn from.
        per_second: Requests a second.
        history: Items in a history.
        k: Items asked for; an answer with fewer failed.
        seconds: How long at most.
        until: File whose coming ends it.
    """
    return asyncio.run(_ask(target, item_ids, per_second, history, k, seconds, until))


async def _ask(
    target: str, item_ids: list[str], per_second: int, history: int, k: int, seconds: float, until: str
) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    took: list[tuple[float, float]] = []
    failed: list[float] = []
    errors: list[str] = []

    async def one(client: AsyncClient, due: float) -> None:
        rows = rng.choice(len(item_ids), history, replace=False).tolist()
        try:
            found = await client.recommend([item_ids[row] for row in rows], k=k)
        except MmrecError as error:
            failed.append(due)
            errors.append(str(error))
            return
        if len(found.items) == k:
            took.append((1000 * (time.time() - due), due))
        else:
            failed.append(due)
            errors.append(f"{len(found.items)} items")

    async with AsyncClient(target, timeout=60) as client:
        await client.recommend([], k=1)
        start = time.time() + 0.1
        running: list[asyncio.Task[None]] = []
        for number in range(int(seconds * per_second)):
            if until and Path(until).exists():
                break
            due = start + number / per_second
            await asyncio.sleep(max(0.0, due - time.time()))
            running.append(asyncio.create_task(one(client, due)))
        await asyncio.gather(*running)
    return {"took": took, "failed": failed, "errors": errors[:5]}
