"""The façade: load a bundle, recommend, search, find similar items, embed new ones."""

from mmrec.recommender.facade import Recommender

__all__ = ["Recommender"]
