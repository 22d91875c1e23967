"""A small set of drawing tools over Pillow: masks, patterned paint, shading and soft shadows.

Coordinates run from 0 to 100 in both directions, x to the right and y down, whatever the size in pixels.
Knows nothing about products.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

RGB = tuple[int, int, int]
Point = tuple[float, float]

OVERSAMPLING = 3
_SMOOTH = Image.Resampling.BILINEAR


def rgb(hue: float, saturation: float, value: float) -> RGB:
    """A colour from hue in degrees, saturation and value in [0, 1]."""
    red, green, blue = colorsys.hsv_to_rgb(hue / 360 % 1.0, min(1.0, saturation), min(1.0, value))
    return round(255 * red), round(255 * green), round(255 * blue)


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """`share` of the second colour in the first."""
    mixed = [round(a + (b - a) * share) for a, b in zip(first, second, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def paint_pattern(pattern: str, ground: RGB, figure: RGB, pixels: int, *, period: float, angle: float) -> Image.Image:
    """A square of patterned cloth.

    Args:
        pattern: plain, stripes, dots, checks, zigzag or waves.
        ground: Colour of the ground.
        figure: Colour of the figure.
        pixels: Side of the square.
        period: Distance from one figure to the next, in hundredths of the side.
        angle: Rotation in degrees.
    """
    if pattern == "plain":
        return Image.new("RGB", (pixels, pixels), ground)
    axis = np.arange(pixels, dtype=np.float32) * (100 / pixels) - 50
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x = (axis[None, :] * cos + axis[:, None] * sin) / period
    y = (axis[:, None] * cos - axis[None, :] * sin) / period
    # A figure is where a signed distance (in periods) is positive; its edge is softened over about two pixels.
    if pattern == "stripes":
        distance = 0.25 - np.abs(x - np.round(x))
    elif pattern == "dots":
        row = np.round(y / 0.8)
        shifted = x - 0.5 * (row % 2)
        distance = 0.29 - np.hypot(shifted - np.round(shifted), y - row * 0.8)
    elif pattern == "checks":
        across, along = np.abs(x - np.round(x)) - 0.25, np.abs(y - np.round(y)) - 0.25
        distance = np.where(across * along > 0, 1, -1) * np.minimum(np.abs(across), np.abs(along))
    elif pattern == "zigzag":
        bent = y + 0.9 * np.abs(x - np.round(x))
        distance = 0.25 - np.abs(bent - np.round(bent))
    elif pattern == "waves":
        bent = y + 0.22 * np.sin(2 * math.pi * x * 0.8)
        distance = 0.23 - np.abs(bent - np.round(bent))
    else:
        raise ValueError(f"no pattern is called {pattern!r}")
    softness = 100 / pixels / period * 2
    cover = (np.clip(distance / softness + 0.5, 0, 1) * 255).astype(np.uint8)
    cloth = Image.new("RGB", (pixels, pixels), ground)
    cloth.paste(figure, mask=Image.fromarray(cover))
    return cloth


class Canvas:
    """A picture in the making.

    Args:
        side: Side of the finished picture in pixels.
        backdrop: Colour of the wall behind the product.
    """

    def __init__(self, side: int, backdrop: RGB) -> None:
        self.side = side
        self.pixels = side * OVERSAMPLING
        self._unit = self.pixels / 100
        self._image = _wall(self.pixels, backdrop).copy()

    def finish(self) -> Image.Image:
        """The picture at its final size."""
        return self._image.resize((self.side, self.side), Image.Resampling.BOX)

    # --- masks --------------------------------------------------------------------------------------------------------

    def polygon(self, points: Sequence[Point], *, smooth: bool = False) -> Image.Image:
        """A filled outline; `smooth` bends it through its points."""
        mask, draw = self._blank()
        draw.polygon(self._scaled(_curve(points) if smooth else points), fill=255)
        return mask

    def ellipse(self, left: float, top: float, right: float, bottom: float) -> Image.Image:
        """A filled ellipse in a box."""
        mask, draw = self._blank()
        draw.ellipse(self._box(left, top, right, bottom), fill=255)
        return mask

    def rounded(self, left: float, top: float, right: float, bottom: float, radius: float) -> Image.Image:
        """A filled box with round corners."""
        mask, draw = self._blank()
        draw.rounded_rectangle(self._box(left, top, right, bottom), radius * self._unit, fill=255)
        return mask

    def arc(self, box: tuple[float, float, float, float], start: float, end: float, width: float) -> Image.Image:
        """A bent bar along an ellipse; angles in degrees from three o'clock, clockwise."""
        mask, draw = self._blank()
        draw.arc(self._box(*box), start, end, fill=255, width=round(width * self._unit))
        return mask

    def line(self, points: Sequence[Point], width: float, *, smooth: bool = False) -> Image.Image:
        """A bar with round ends through points."""
        mask, draw = self._blank()
        path = self._scaled(_curve(points, closed=False) if smooth else points)
        draw.line(path, fill=255, width=max(1, round(width * self._unit)), joint="curve")
        radius = width * self._unit / 2
        for x, y in (path[0], path[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        return mask

    # --- paint --------------------------------------------------------------------------------------------------------

    def paint(self, mask: Image.Image, paint: Image.Image | RGB, *, shade: str = "side", edge: float = 0.55) -> None:
        """Put paint where the mask is.

        Args:
            mask: Where. Its bounding box is what the shading spans.
            paint: A colour or a cloth as large as the canvas.
            shade: ``flat``, ``side`` (lit from the left, as a soft surface), ``round`` (a cylinder) or
                ``ball``.
            edge: How dark the rim of the shape becomes, in [0, 1].
        """
        box = mask.getbbox()
        if box is None:
            return
        cut = mask.crop(box)
        layer = Image.new("RGB", cut.size, paint) if isinstance(paint, tuple) else paint.crop(box)
        if shade != "flat":
            dark, light = _shading(shade)
            layer = ImageChops.multiply(layer, Image.merge("RGB", [dark.resize(cut.size, _SMOOTH)] * 3))
            layer.paste((255, 255, 255), mask=light.resize(cut.size, _SMOOTH))
        if edge:
            soft = Image.new("L", (cut.width + 12, cut.height + 12))
            soft.paste(cut, (6, 6))
            soft = soft.filter(ImageFilter.BoxBlur(4)).crop((6, 6, 6 + cut.width, 6 + cut.height))
            rim = soft.point([round(min(255.0, (255 - value) * 1.6) * edge) for value in range(256)])
            layer.paste((46, 34, 40), mask=rim)
        self._image.paste(layer, box[:2], mask=cut)

    def shadow(self, left: float, right: float, y: float, height: float = 7, strength: float = 0.42) -> None:
        """A soft shadow on the floor below a product that stands on the line y."""
        box = [round(value) for value in self._box(left, y - height / 2, right, y + height / 2)]
        blot = _blot().resize((box[2] - box[0], box[3] - box[1]), _SMOOTH).point(lambda value: value * strength)
        self._image.paste((60, 52, 50), (box[0], box[1]), mask=blot)

    def _blank(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        mask = Image.new("L", (self.pixels, self.pixels))
        return mask, ImageDraw.Draw(mask)

    def _scaled(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self._unit, y * self._unit) for x, y in points]

    def _box(self, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return left * self._unit, top * self._unit, right * self._unit, bottom * self._unit


def _curve(points: Sequence[Point], *, closed: bool = True, steps: int = 12) -> list[Point]:
    """A Catmull-Rom curve through the points."""
    knots = np.asarray(points, dtype=np.float64)
    before, after = (knots[-1:], knots[:2]) if closed else (knots[:1], knots[-1:])
    knots = np.concatenate([before, knots, after])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve: list[Point] = []
    for prior, start, end, later in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
        bend = (
            2 * start
            + (end - prior) * t
            + (2 * prior - 5 * start + 4 * end - later) * t**2
            + (3 * start - prior - 3 * end + later) * t**3
        )
        curve.extend((float(x), float(y)) for x, y in bend / 2)
    if not closed:
        curve.append((float(knots[-2][0]), float(knots[-2][1])))
    return curve


@cache
def _wall(pixels: int, colour: RGB) -> Image.Image:
    """A wall that is a little lighter at the top and a floor that is a little darker."""
    top, bottom = mix(colour, (255, 255, 255), 0.55), mix(colour, (120, 116, 112), 0.10)
    down = np.linspace(0, 1, 64)[:, None, None] ** 1.6
    strip = np.array(top) * (1 - down) + np.array(bottom) * down
    return Image.fromarray(strip.astype(np.uint8)).resize((pixels, pixels), _SMOOTH)


@cache
def _shading(kind: str) -> tuple[Image.Image, Image.Image]:
    """Factors to multiply with, and white to blend in, for a kind of surface lit from the upper left."""
    axis = np.linspace(-1, 1, 96)
    x, y = axis[None, :] + 0 * axis[:, None], axis[:, None] + 0 * axis[None, :]
    if kind == "side":
        dark = 1 - 0.20 * np.clip((x + 0.7 * y) / 1.7 + 0.25, 0, 1)
        light = 0.16 * np.clip(-(x + y) / 2, 0, 1)
    elif kind == "round":
        dark = 1 - 0.42 * np.clip(np.abs(x + 0.28) - 0.25, 0, 1) ** 1.4 - 0.04 * (y + 1) / 2
        light = 0.34 * np.exp(-(((x + 0.46) / 0.16) ** 2))
    elif kind == "ball":
        away = np.hypot(x + 0.35, y + 0.45)
        dark = 1 - 0.40 * np.clip(away / 1.7, 0, 1) ** 1.6
        light = 0.36 * np.exp(-((away / 0.42) ** 2))
    else:
        raise ValueError(f"no shading is called {kind!r}")
    return (
        Image.fromarray((dark * 255).clip(0, 255).astype(np.uint8)),
        Image.fromarray((light * 255).clip(0, 255).astype(np.uint8)),
    )


@cache
def _blot() -> Image.Image:
    axis = np.linspace(-1, 1, 64)
    away = np.hypot(axis[None, :], axis[:, None])
    return Image.fromarray((255 * np.clip(1 - away, 0, 1) ** 0.8).astype(np.uint8))
