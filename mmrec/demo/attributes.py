"""Attributes of the demonstration's products, from which their pictures and texts are made.

Colour and pattern are visible only in the picture; material and occasion are named only in the text. The kind of
product is in both.
"""

from __future__ import annotations

from dataclasses import dataclass

COLOURS: dict[str, tuple[float, float, float, float]] = {
    # Hue range in degrees, saturation and value in [0, 1].
    "red": (-4, 6, 0.78, 0.82),
    "orange": (22, 30, 0.84, 0.95),
    "yellow": (46, 52, 0.78, 0.97),
    "green": (112, 150, 0.58, 0.62),
    "blue": (204, 222, 0.70, 0.78),
    "purple": (266, 284, 0.52, 0.66),
    "pink": (328, 342, 0.42, 0.96),
}
"""Colour families: visible in the picture only."""

PATTERNS = ("plain", "stripes", "dots", "checks", "zigzag", "waves")
"""Visible in the picture only; part of no taste, so a distractor."""

OCCASIONS = ("camping", "office", "beach", "wedding", "nursery", "gym", "Christmas")
"""Named in the text only."""

MATERIALS: dict[str, tuple[str, ...]] = {
    "mug": ("stoneware", "enamel", "porcelain", "bamboo"),
    "t-shirt": ("cotton", "linen", "merino", "hemp"),
    "lamp": ("oak", "brass", "rice paper", "steel"),
    "backpack": ("canvas", "leather", "waxed cotton", "nylon"),
    "sneaker": ("suede", "canvas", "leather", "knitted"),
    "armchair": ("oak", "rattan", "velvet", "beech"),
    "umbrella": ("bamboo", "nylon", "ash wood", "pongee"),
    "clock": ("walnut", "steel", "cork", "glass"),
    "cushion": ("wool", "linen", "velvet", "cotton"),
    "vase": ("glass", "stoneware", "terracotta", "copper"),
    "bottle": ("steel", "glass", "aluminium", "copper"),
    "beanie": ("wool", "cashmere", "alpaca", "cotton"),
}
"""Named in the text only."""

KINDS = tuple(MATERIALS)


@dataclass(frozen=True, slots=True)
class ItemTruth:
    """True attributes of a product.

    Attributes:
        kind: One of `KINDS`; in the picture and in the words.
        colour: One of `COLOURS`; in the picture only.
        pattern: One of `PATTERNS`; in the picture only.
        material: One of `MATERIALS`; in the words only.
        occasion: One of `OCCASIONS`; in the words only.
    """

    kind: str
    colour: str
    pattern: str
    material: str
    occasion: str


@dataclass(frozen=True, slots=True)
class Taste:
    """What a customer likes: one attribute of the picture and one of the text."""

    colour: str
    occasion: str

    def matches(self, item: ItemTruth) -> bool:
        """Whether an item has both."""
        return item.colour == self.colour and item.occasion == self.occasion
