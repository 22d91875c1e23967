"""The recommender: everything that answers requests from a bundle, in process.

In: a bundle and requests of `mmrec.contract`. Out: replies, each from one immutable snapshot of the catalogue.
"""

from mmrec.recommender.facade import Recommender

__all__ = ["Recommender"]
