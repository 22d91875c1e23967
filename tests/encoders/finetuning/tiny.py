"""What the tests of adapting share, importable by child processes."""

from __future__ import annotations

import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from mmrec_encoders.finetuning import FinetuningConfig, SmallTowers, Views, finetune_encoders, finetuning_preset
from mmrec_encoders.small_clip import SmallClipShape

COLOURS = {"red": (210, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 210), "yellow": (230, 210, 50)}
SHAPES = ("ball", "box")


def write_colour_shop(root: Path, items: int = 48) -> Path:
    """Coloured balls and boxes. Item 45 shares its title with 1, 46's picture is damaged, 47 has no words."""
    (root / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["item_id\ttitle\tcolour\tshape\timage"]
    for number in range(items):
        colour, shape = list(COLOURS)[number % 4], SHAPES[number // 4 % 2]
        picture = Image.new("RGB", (40, 40), (245, 245, 245))
        left, top = rng.integers(2, 12, 2).tolist()
        draw = ImageDraw.Draw(picture).ellipse if shape == "ball" else ImageDraw.Draw(picture).rectangle
        draw((left, top, left + 24, top + 24), fill=COLOURS[colour])
        picture.save(root / "images" / f"{number}.png")
        title = f"A {colour} {shape}, number {number:02d}"
        rows.append(f"i{number:02d}\t{title}\t{colour}\t{shape}\t{number}.png")
    if items == 48:
        rows[46] = rows[46].replace(rows[46].split("\t")[1], "  a GREEN ball, number 01 ")
        (root / "images" / "46.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
        rows[48] = "i47\t\t\t\t47.png"
    (root / "items.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


def tiny_config(text_model: str, **changes: Any) -> FinetuningConfig:
    """Two passes over the colour shop, five steps each."""
    towers = SmallTowers(
        SmallClipShape(dim=16, width=4, image_size=32), keep_size=36, dimension=16, text_hidden=16, text_words=64
    )
    settings: dict[str, Any] = {"towers": towers, "epochs": 2, "batch_size": 8, "device": "cpu", "dtype": "float32"}
    return finetuning_preset("small", **{**settings, "text_model": text_model, **changes})


def still(config: FinetuningConfig) -> FinetuningConfig:
    """Pictures shown as they are: which view is drawn depends on how a step is cut into parts."""
    return replace(config, views=Views(min_area=1.0, stretch=0.0, colour=0.0, flip=0.0))


class Silent:
    """A progress sink to derive from."""

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        self.stage = stage

    def advance(self, n: int = 1) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def finish(self, text: str = "") -> None:
        pass


class Heard(Silent):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        self.lines.append(f"{stage} {total} {unit}".strip())

    def say(self, text: str) -> None:
        self.lines.append(text)

    def finish(self, text: str = "") -> None:
        self.lines.append(text)


def train_until_killed(shop: Path, out: Path, config: FinetuningConfig, stalled: Connection) -> None:
    """Train up to the middle of the second pass, send a message and wait."""

    class StallInTheSecondPass(Silent):
        done = 0

        def advance(self, n: int = 1) -> None:
            if self.stage == "training":
                self.done += n
                if self.done >= 56:
                    stalled.send("stalled")
                    time.sleep(600)

    finetune_encoders(shop, out, config, StallInTheSecondPass())
