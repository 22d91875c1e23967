"""The demonstration: a generated catalogue with customers of known taste, fitted, served and shown.

In: a seed. Out: a dataset folder with its ground truth, and a contact sheet of recommendations. Half of every taste is
visible only in the pictures and half only in the texts, so only a recommender that reads both matches it.
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
