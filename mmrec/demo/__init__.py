"""The demonstration: a catalogue of its own, drawn, fitted, served and shown, with users whose taste is known.

In: a seed. Out: a dataset folder with the known answers, and a contact sheet of what is recommended. Half of every
taste is visible only in the pictures and half only in the texts, so a recommender that reads both can be recognised.
"""

from __future__ import annotations

from mmrec.demo.attributes import ItemTruth, Taste
from mmrec.demo.dataset import DemoTruth, write_demo_dataset
from mmrec.demo.sheet import SheetItem, SheetRow, draw_contact_sheet

__all__ = [
    "DemoTruth",
    "ItemTruth",
    "SheetItem",
    "SheetRow",
    "Taste",
    "draw_contact_sheet",
    "write_demo_dataset",
]
