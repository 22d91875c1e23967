"""Titles and descriptions of the demonstration's products. Knows nothing about pictures or customers.

They name the kind, the material and the occasion, and never a colour or a pattern.
"""

from __future__ import annotations

import numpy as np

from mmrec.demo.attributes import ItemTruth

_OCCASION: dict[str, tuple[str, ...]] = {
    "camping": (
        "Made for nights in the tent and mornings by the campfire.",
        "Packed first for every camping trip, whatever the weather on the trail.",
        "At home in the wild: around the fire, beside the tent, under the pines.",
        "Campers take it along on every hike.",
    ),
    "office": (
        "Made for the office: it belongs between the keyboard and the next meeting.",
        "A quiet companion for long working days at the desk.",
        "Colleagues will ask where you found it; fits any workplace.",
        "Smart enough for the meeting room, handy enough for daily office work.",
    ),
    "beach": (
        "Made for the beach: sand, salt water and sun do it no harm.",
        "A summer favourite for days by the sea.",
        "From the towel to the beach bar, and home again full of sand.",
        "Take it on a seaside holiday and leave your worries ashore.",
    ),
    "wedding": (
        "A wedding present the couple will keep for a lifetime.",
        "Made for the big day: brides and grooms love it.",
        "From the wedding list to the first shared home.",
        "A thoughtful gift for newlyweds and wedding guests.",
    ),
    "nursery": (
        "Made for the nursery: gentle on babies, easy on tired parents.",
        "Small children love it, and it survives them.",
        "A soft start for a newborn's first room.",
        "Safe for toddlers, with no small parts to swallow.",
    ),
    "gym": (
        "Made for the gym: between two sets or after a long run.",
        "Keeps up with every workout and dries in no time.",
        "For training days, from the warm-up to the last repetition.",
        "Athletes rely on it in the weights room and on the treadmill.",
    ),
    "Christmas": (
        "Made for Christmas Eve, under the tree and by the fireplace.",
        "A festive present for the winter holidays.",
        "Brings the season home: carols, candles and snow outside.",
        "Santa's favourite for the December holidays.",
    ),
}

_MATERIAL = (
    "Made from {material} that ages well.",
    "The {material} comes from a small family workshop.",
    "We chose {material} because it lasts.",
    "Honest {material}, finished by hand.",
    "All {material}, nothing else.",
)

_CLOSING = (
    "Each {kind} is inspected by hand before it leaves us.",
    "This {kind} comes with a two-year guarantee.",
    "Designed in a small studio.",
    "Arrives in recycled packaging.",
    "One size.",
    "A {kind} for every day.",
)


def title(item: ItemTruth, rng: np.random.Generator) -> str:
    """A short name, as in ``Enamel camping mug``; `rng` chooses the order of the words."""
    if rng.random() < 0.7:
        text = f"{item.material} {item.occasion} {item.kind}"
    else:
        text = f"{item.occasion} {item.kind}, {item.material}"
    return text[0].upper() + text[1:]


def describe(item: ItemTruth, rng: np.random.Generator) -> str:
    """Two or three sentences about the occasion, the material and nothing in particular."""
    occasion = _OCCASION[item.occasion]
    sentences = [
        occasion[rng.integers(len(occasion))],
        _MATERIAL[rng.integers(len(_MATERIAL))].format(material=item.material),
    ]
    if rng.random() < 0.5:
        sentences.reverse()
    if rng.random() < 0.6:
        sentences.append(_CLOSING[rng.integers(len(_CLOSING))].format(kind=item.kind))
    return " ".join(sentences)
