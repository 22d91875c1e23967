"""mmrec: multimodal item understanding and generative recommendation, served over gRPC.

`Client` and `mmrec.sdk.aio.AsyncClient` talk to a server and need the base install only. `Recommender` gives the same
calls in process and needs ``pip install 'mmrec[all]'``. Everything is imported when it is first touched, so
``import mmrec`` costs next to nothing and never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmrec.contract.changes import ChangeEntry as ChangeEntry
    from mmrec.contract.changes import ChangeResults as ChangeResults
    from mmrec.contract.items import Evidence as Evidence
    from mmrec.contract.items import FilterMode as FilterMode
    from mmrec.contract.items import ItemFailure as ItemFailure
    from mmrec.contract.items import ItemInput as ItemInput
    from mmrec.contract.items import ItemRecord as ItemRecord
    from mmrec.contract.items import Modality as Modality
    from mmrec.contract.items import NumberFormat as NumberFormat
    from mmrec.contract.items import ScoredItem as ScoredItem
    from mmrec.contract.items import Versions as Versions
    from mmrec.contract.replies import DuplicateGroup as DuplicateGroup
    from mmrec.contract.replies import DuplicateGroups as DuplicateGroups
    from mmrec.contract.replies import EmbedResults as EmbedResults
    from mmrec.contract.replies import ItemEmbedding as ItemEmbedding
    from mmrec.contract.replies import ItemLookup as ItemLookup
    from mmrec.contract.replies import ItemPage as ItemPage
    from mmrec.contract.replies import ItemPath as ItemPath
    from mmrec.contract.replies import ItemTags as ItemTags
    from mmrec.contract.replies import Mismatch as Mismatch
    from mmrec.contract.replies import Mismatches as Mismatches
    from mmrec.contract.replies import Recommendations as Recommendations
    from mmrec.contract.replies import ResolvedPath as ResolvedPath
    from mmrec.contract.replies import ResolvedPaths as ResolvedPaths
    from mmrec.contract.replies import SearchResults as SearchResults
    from mmrec.contract.replies import SemanticIds as SemanticIds
    from mmrec.contract.replies import ServiceInfo as ServiceInfo
    from mmrec.contract.replies import Tag as Tag
    from mmrec.contract.replies import TagCalibration as TagCalibration
    from mmrec.contract.replies import TagResults as TagResults
    from mmrec.contract.requests import Promotion as Promotion
    from mmrec.contract.requests import RecommendRequest as RecommendRequest
    from mmrec.contract.requests import SearchRequest as SearchRequest
    from mmrec.contract.requests import SimilarRequest as SimilarRequest
    from mmrec.errors import MmrecError as MmrecError
    from mmrec.recommender import Recommender as Recommender
    from mmrec.sdk.aio import AsyncClient as AsyncClient
    from mmrec.sdk.client import Client as Client

__version__ = "0.1.0"

_HOMES = {
    "AsyncClient": "mmrec.sdk.aio",
    "ChangeEntry": "mmrec.contract.changes",
    "ChangeResults": "mmrec.contract.changes",
    "Client": "mmrec.sdk.client",
    "DuplicateGroup": "mmrec.contract.replies",
    "DuplicateGroups": "mmrec.contract.replies",
    "EmbedResults": "mmrec.contract.replies",
    "Evidence": "mmrec.contract.items",
    "FilterMode": "mmrec.contract.items",
    "ItemEmbedding": "mmrec.contract.replies",
    "ItemFailure": "mmrec.contract.items",
    "ItemInput": "mmrec.contract.items",
    "ItemLookup": "mmrec.contract.replies",
    "ItemPage": "mmrec.contract.replies",
    "ItemPath": "mmrec.contract.replies",
    "ItemRecord": "mmrec.contract.items",
    "ItemTags": "mmrec.contract.replies",
    "Mismatch": "mmrec.contract.replies",
    "Mismatches": "mmrec.contract.replies",
    "MmrecError": "mmrec.errors",
    "Modality": "mmrec.contract.items",
    "NumberFormat": "mmrec.contract.items",
    "Promotion": "mmrec.contract.requests",
    "RecommendRequest": "mmrec.contract.requests",
    "Recommendations": "mmrec.contract.replies",
    "Recommender": "mmrec.recommender",
    "ResolvedPath": "mmrec.contract.replies",
    "ResolvedPaths": "mmrec.contract.replies",
    "ScoredItem": "mmrec.contract.items",
    "SearchRequest": "mmrec.contract.requests",
    "SearchResults": "mmrec.contract.replies",
    "SemanticIds": "mmrec.contract.replies",
    "ServiceInfo": "mmrec.contract.replies",
    "SimilarRequest": "mmrec.contract.requests",
    "Tag": "mmrec.contract.replies",
    "TagCalibration": "mmrec.contract.replies",
    "TagResults": "mmrec.contract.replies",
    "Versions": "mmrec.contract.items",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mmrec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
