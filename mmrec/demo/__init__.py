"""A catalogue of the project's own, drawn and described, with customers whose taste is known.

Half of every taste is seen only in the pictures and half is said only in the words, so a recommender that
reads both can be told from one that reads either, or that only counts.
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
