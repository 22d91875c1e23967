"""Which side of the items a training reads: pictures, words, or both."""

from __future__ import annotations

from typing import Literal

from mmrec.contract.items import Modality as Side
from mmrec.recommender.modality_vectors import only_modality
from mmrec_encoders.fusion import ItemFeatures

Modality = Literal["both", "picture", "words"]


def visible(features: ItemFeatures, modality: Modality) -> ItemFeatures:
    """Features of which only this side is present."""
    return features if modality == "both" else only_modality(features, Side(modality))
