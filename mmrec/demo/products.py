"""Pictures of the demonstration's products: one function per kind. Knows nothing about words or customers.

Everything that could reveal the material (wood, metal, leather) is drawn in the same neutral colours for every
product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops

from mmrec.demo.attributes import COLOURS
from mmrec.demo.canvas import RGB, Canvas, mix, paint_pattern, rgb

_BACKDROPS: tuple[RGB, ...] = ((236, 232, 226), (230, 232, 234), (238, 235, 230), (228, 229, 228))
_CREAM: RGB = (250, 246, 236)
_FIXTURE: RGB = (108, 102, 100)
_DARK: RGB = (70, 64, 66)


@dataclass(frozen=True, slots=True)
class _Dress:
    """The paints of one product: patterned cloth, its ground colour, a deeper and a paler tone of it."""

    cloth: Image.Image
    ground: RGB
    deep: RGB
    pale: RGB


def draw_product(kind: str, colour: str, pattern: str, rng: np.random.Generator, *, side: int = 160) -> Image.Image:
    """One product on a plain backdrop.

    Args:
        kind: One of `attributes.KINDS`.
        colour: One of `attributes.COLOURS`.
        pattern: One of `attributes.PATTERNS`.
        rng: Chooses tone, scale and angle.
        side: Side of the square picture, in pixels.
    """
    low, high, saturation, value = COLOURS[colour]
    hue = rng.uniform(low, high)
    saturation *= rng.uniform(0.88, 1.06)
    value *= rng.uniform(0.92, 1.03)
    ground = rgb(hue, saturation, value)
    deep, pale = rgb(hue, saturation * 1.08, value * 0.62), mix(ground, _CREAM, 0.62)
    figure = (_CREAM, pale, deep)[rng.integers(3)]
    canvas = Canvas(side, _BACKDROPS[rng.integers(len(_BACKDROPS))])
    angle = {"stripes": rng.choice([0.0, 90.0, 45.0]), "checks": rng.choice([0.0, 45.0])}.get(pattern, 0.0)
    cloth = paint_pattern(pattern, ground, figure, canvas.pixels, period=rng.uniform(9.5, 13.5), angle=float(angle))
    _DRAW[kind](canvas, _Dress(cloth, ground, deep, pale))
    return canvas.finish()


def _mug(canvas: Canvas, dress: _Dress) -> None:
    canvas.shadow(16, 84, 85)
    canvas.paint(canvas.arc((56, 34, 88, 70), -100, 100, 6.5), dress.ground, shade="ball")
    half = [(68, 24), (66.4, 74), (65, 79), (61.5, 83), (56, 85)]
    outline = [(20, 24), *half, *((88 - x, y) for x, y in reversed(half[1:]))]
    canvas.paint(canvas.polygon(outline), dress.cloth, shade="round")
    canvas.paint(canvas.ellipse(20, 18, 68, 30), dress.pale, shade="flat", edge=0.35)
    canvas.paint(canvas.ellipse(23.5, 20.2, 64.5, 29), mix(dress.deep, _DARK, 0.35), shade="side", edge=0.3)


def _t_shirt(canvas: Canvas, dress: _Dress) -> None:
    canvas.shadow(22, 78, 91, 5, 0.3)
    half = [(61, 13), (70, 17), (91, 37), (80, 51), (72, 44), (72, 62), (73, 90)]
    outline = [*half, *((100 - x, y) for x, y in reversed(half))]
    canvas.paint(canvas.polygon(outline), dress.cloth)
    for side in (1, -1):
        seam = [(50 + side * 21, 26), (50 + side * 22, 44)]
        canvas.paint(canvas.line(seam, 0.8), mix(dress.deep, _DARK, 0.2), shade="flat", edge=0)
        fold = [(50 + side * 11, 66), (50 + side * 14, 88)]
        canvas.paint(canvas.line(fold, 0.7), mix(dress.ground, dress.deep, 0.6), shade="flat", edge=0)
    # The neck: the inside of the back, and in front of it the collar, both cut to the shirt.
    shirt = canvas.polygon(outline)
    canvas.paint(ImageChops.multiply(shirt, canvas.ellipse(37, 4, 63, 25.5)), dress.pale, shade="flat", edge=0.3)
    canvas.paint(ImageChops.multiply(shirt, canvas.ellipse(39.5, 4, 60.5, 22.5)), dress.deep, edge=0.4)


def _lamp(canvas: Canvas, dress: _Dress) -> None:
    canvas.shadow(26, 74, 90)
    canvas.paint(canvas.rounded(47.6, 46, 52.4, 86, 2), _FIXTURE, shade="round")
    canvas.paint(canvas.ellipse(31, 83, 69, 92), _FIXTURE, shade="side")
    canvas.paint(canvas.ellipse(19, 50, 81, 60), (255, 240, 205), shade="flat", edge=0.2)
    canvas.paint(
        canvas.polygon([(35, 13), (65, 13), (82, 55), (66, 57.6), (50, 58.4), (34, 57.6), (18, 55)]),
        dress.cloth,
        shade="round",
    )
    canvas.paint(canvas.ellipse(35, 11, 65, 15.6), mix(dress.pale, _CREAM, 0.4), shade="flat", edge=0.4)


def _backpack(canvas: Canvas, dress: _Dress) -> None:
    canvas.shadow(16, 84, 90)
    canvas.paint(canvas.arc((40, 6, 60, 28), 180, 360, 3.4), _DARK, shade="flat")
    for left in (16, 76):
        canvas.paint(canvas.rounded(left, 40, left + 8, 78, 4), dress.deep)
    half = [(50, 13), (66, 15), (77, 27), (80, 50), (80, 80), (74, 88)]
    outline = [*half, *((100 - x, y) for x, y in reversed(half[1:]))]
    canvas.paint(canvas.polygon(outline, smooth=True), dress.cloth)
    canvas.paint(canvas.arc((27, 22, 73, 56), 195, 345, 1.4), _DARK, shade="flat", edge=0)
    canvas.paint(canvas.rounded(29, 54, 71, 82, 6), mix(dress.ground, dress.deep, 0.45))
    canvas.paint(canvas.line([(33, 61), (67, 61)], 1.4), _DARK, shade="flat", edge=0)
    canvas.paint(canvas.rounded(61, 60, 64, 68, 1.2), _CREAM, shade="flat", edge=0.4)


def _sneaker(canvas: Canvas, dress: _Dress) -> None:
    canvas.shadow(6, 94, 79)
    upper = canvas.polygon(
        [
            (11, 35),
            (16, 32),
            (25, 39),
            (36, 33),
            (42, 26),
            (47, 28),
            (60, 45),
            (75, 53),
            (88, 60),
            (92, 70),
            (88, 77),
            (50, 76),
            (14, 77),
            (10, 66),
            (10, 50),
        ],
        smooth=True,
    )
    canvas.paint(upper, dress.cloth)
    canvas.paint(ImageChops.multiply(upper, canvas.ellipse(71, 51, 106, 92)), dress.pale, shade="ball")
    canvas.paint(ImageChops.multiply(upper, canvas.ellipse(-6, 46, 23, 96)), dress.deep)
    canvas.paint(canvas.polygon([(42, 28), (47, 30), (64, 50), (56, 55)]), dress.deep, shade="flat", edge=0.2)
    for step in range(4):
        x, y = 44 + 4.6 * step, 35.5 + 5.4 * step
        canvas.paint(canvas.line([(x - 2.4, y + 3.4), (x + 6, y - 1.6)], 2.1), _CREAM, shade="flat", edge=0.5)
    sole = canvas.polygon([(8, 69), (93, 69), (94, 74), (91, 79), (10, 79), (7, 75)])
    canvas.paint(sole, _CREAM, edge=0.5)
    canvas.paint(canvas.line([(9, 74), (92, 74)], 0.9), dress.ground, shade="flat", edge=0)


def _armchair(canvas: Canvas, dress: _Dress) -> None:
    canvas.shadow(12, 88, 91)
    for x, lean in ((24, -3), (76, 3)):
        canvas.paint(canvas.line([(x, 78), (x + lean, 90)], 4), _FIXTURE, shade="round")
    canvas.paint(canvas.rounded(22, 12, 78, 70, 14), dress.cloth)
    canvas.paint(canvas.rounded(24, 68, 76, 82, 4), dress.deep)
    canvas.paint(canvas.rounded(24, 56, 76, 71, 6), dress.cloth, shade="ball", edge=0.75)
    for left in (11, 73):
        canvas.paint(canvas.rounded(left, 40, left + 16, 82, 7), dress.cloth, shade="round", edge=0.7)


def _umbrella(canvas: Canvas, dress: _Dress) -> None:
    canvas.paint(canvas.line([(50, 10), (50, 84)], 2.2), _DARK, shade="flat")
    canvas.paint(canvas.arc((50, 76, 63, 92), 0, 180, 2.8), _DARK, shade="flat")
    rim = []
    for rib in range(4):
        left, right = 8 + 21 * rib, 29 + 21 * rib
        for t in np.linspace(0, 1, 9):
            rim.append((left + (right - left) * float(t), 55 - 6.5 * math.sin(math.pi * float(t))))
    dome = [(50 + 42 * math.cos(a), 55 - 43 * math.sin(a)) for a in np.linspace(0, math.pi, 40)]
    canvas.paint(canvas.polygon([*rim, *dome]), dress.cloth, shade="ball")
    for rib in range(1, 4):
        foot = 8 + 21 * rib
        curve = [(50 + (foot - 50) * math.sin(a), 55 - 43 * math.cos(a)) for a in np.linspace(0, math.pi / 2, 14)]
        canvas.paint(canvas.line(curve, 0.7), dress.deep, shade="flat", edge=0)
    canvas.paint(canvas.rounded(48.8, 6, 51.2, 13, 1), _DARK, shade="flat")


def _clock(canvas: Canvas, dress: _Dress) -> None:
    canvas.shadow(26, 74, 92, 5, 0.32)
    canvas.paint(canvas.ellipse(10, 9, 90, 89), dress.cloth, shade="ball", edge=0.8)
    canvas.paint(canvas.ellipse(28, 27, 72, 71), _CREAM, shade="side", edge=0.7)
    for hour in range(12):
        angle = math.radians(30 * hour)
        inner = 17.4 if hour % 3 == 0 else 18.8
        ends = [(50 + r * math.sin(angle), 49 - r * math.cos(angle)) for r in (inner, 20)]
        canvas.paint(canvas.line(ends, 1.5 if hour % 3 == 0 else 0.9), _DARK, shade="flat", edge=0)
    canvas.paint(canvas.line([(50, 49), (40.5, 43.5)], 2.2), _DARK, shade="flat", edge=0)
    canvas.paint(canvas.line([(50, 49), (60, 37)], 1.5), _DARK, shade="flat", edge=0)
    canvas.paint(canvas.ellipse(48, 47, 52, 51), dress.deep, shade="flat", edge=0)


def _cushion(canvas: Canvas, dress: _Dress) -> None:
    canvas.shadow(12, 88, 86)
    corners = [(11, 14), (50, 18.5), (89, 14), (85, 50), (89, 86), (50, 82), (11, 86), (15, 50)]
    outline = []
    for (ax, ay), (mx, my), (bx, by) in zip(corners[::2], corners[1::2], [*corners[2::2], corners[0]], strict=True):
        for t in np.linspace(0, 1, 16, endpoint=False):
            s = float(t)
            bx_, by_ = 2 * mx - (ax + bx) / 2, 2 * my - (ay + by) / 2
            outline.append(
                (
                    (1 - s) ** 2 * ax + 2 * s * (1 - s) * bx_ + s * s * bx,
                    (1 - s) ** 2 * ay + 2 * s * (1 - s) * by_ + s * s * by,
                )
            )
    canvas.paint(canvas.polygon(outline), dress.deep, shade="flat")
    inner = [(50 + (x - 50) * 0.955, 50 + (y - 50) * 0.955) for x, y in outline]
    canvas.paint(canvas.polygon(inner), dress.cloth, shade="ball", edge=0.3)


def _vase(canvas: Canvas, dress: _Dress) -> None:
    canvas.shadow(24, 76, 90)
    half = [(60, 12), (57, 20), (58, 30), (68, 44), (74, 58), (70, 76), (61, 88), (50, 90)]
    outline = [*half, *((100 - x, y) for x, y in reversed(half[:-1]))]
    canvas.paint(canvas.polygon(outline, smooth=True), dress.cloth, shade="round")
    canvas.paint(canvas.ellipse(39, 9, 61, 15), dress.pale, shade="flat", edge=0.4)
    canvas.paint(canvas.ellipse(41.5, 10.2, 58.5, 14.2), mix(dress.deep, _DARK, 0.5), shade="flat", edge=0)


def _bottle(canvas: Canvas, dress: _Dress) -> None:
    canvas.shadow(28, 72, 92)
    canvas.paint(canvas.rounded(42, 6, 58, 17, 3), _DARK, shade="round")
    canvas.paint(canvas.rounded(44, 15, 56, 22, 1), _FIXTURE, shade="round")
    half = [
        (56.5, 20),
        (57.5, 24.5),
        (61, 28),
        (66, 32),
        (68.4, 36),
        (69, 41),
        (69, 84),
        (68, 88),
        (65.5, 91),
        (62, 92),
    ]
    outline = [*half, *((100 - x, y) for x, y in reversed(half))]
    canvas.paint(canvas.polygon(outline), dress.cloth, shade="round")
    canvas.paint(canvas.rounded(31, 80, 69, 84, 0), dress.deep, shade="round", edge=0)


def _beanie(canvas: Canvas, dress: _Dress) -> None:
    canvas.shadow(14, 86, 86)
    canvas.paint(canvas.ellipse(40, 6, 60, 26), dress.pale, shade="ball", edge=0.4)
    dome = [(50 - 34 * math.cos(a), 66 - 46 * math.sin(a) ** 0.9) for a in np.linspace(0, math.pi, 40)]
    canvas.paint(canvas.polygon(dome), dress.cloth, shade="ball")
    canvas.paint(canvas.rounded(13, 61, 87, 84, 7), mix(dress.ground, dress.deep, 0.25), shade="round")
    for x in range(19, 85, 6):
        canvas.paint(canvas.line([(x, 64), (x, 81)], 1), dress.deep, shade="flat", edge=0)


_DRAW: dict[str, Callable[[Canvas, _Dress], None]] = {
    "mug": _mug,
    "t-shirt": _t_shirt,
    "lamp": _lamp,
    "backpack": _backpack,
    "sneaker": _sneaker,
    "armchair": _armchair,
    "umbrella": _umbrella,
    "clock": _clock,
    "cushion": _cushion,
    "vase": _vase,
    "bottle": _bottle,
    "beanie": _beanie,
}
