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
    from mmrec.contract.items import FilterMode as FilterMode
    from mmrec.contract.items import ItemFailure as ItemFailure
    from mmrec.contract.items import ItemInput as ItemInput
    from mmrec.contract.items import ItemLookup as ItemLookup
    from mmrec.contract.items import ItemRecord as ItemRecord
    from mmrec.contract.items import Modality as Modality
    from mmrec.contract.items import ScoredItem as ScoredItem
    from mmrec.contract.items import Versions as Versions
    from mmrec.contract.lookups import ItemPage as ItemPage
    from mmrec.contract.lookups import ItemPath as ItemPath
    from mmrec.contract.lookups import ResolvedPath as ResolvedPath
    from mmrec.contract.lookups import ResolvedPaths as ResolvedPaths
    from mmrec.contract.lookups import SemanticIds as SemanticIds
    from mmrec.contract.promotions import Promotion as Promotion
    from mmrec.contract.questions import DuplicateGroup as DuplicateGroup
    from mmrec.contract.questions import DuplicateGroups as DuplicateGroups
    from mmrec.contract.questions import Evidence as Evidence
    from mmrec.contract.questions import ItemTags as ItemTags
    from mmrec.contract.questions import Mismatch as Mismatch
    from mmrec.contract.questions import Mismatches as Mismatches
    from mmrec.contract.questions import SearchRequest as SearchRequest
    from mmrec.contract.questions import SearchResults as SearchResults
    from mmrec.contract.questions import SimilarRequest as SimilarRequest
    from mmrec.contract.questions import Tag as Tag
    from mmrec.contract.questions import TagCalibration as TagCalibration
    from mmrec.contract.questions import TagResults as TagResults
    from mmrec.contract.types import EmbedResults as EmbedResults
    from mmrec.contract.types import ItemEmbedding as ItemEmbedding
    from mmrec.contract.types import NumberFormat as NumberFormat
    from mmrec.contract.types import Recommendations as Recommendations
    from mmrec.contract.types import RecommendRequest as RecommendRequest
    from mmrec.contract.types import ServiceInfo as ServiceInfo
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
    "DuplicateGroup": "mmrec.contract.questions",
    "DuplicateGroups": "mmrec.contract.questions",
    "EmbedResults": "mmrec.contract.types",
    "Evidence": "mmrec.contract.questions",
    "FilterMode": "mmrec.contract.items",
    "ItemEmbedding": "mmrec.contract.types",
    "ItemFailure": "mmrec.contract.items",
    "ItemInput": "mmrec.contract.items",
    "ItemLookup": "mmrec.contract.items",
    "ItemPage": "mmrec.contract.lookups",
    "ItemPath": "mmrec.contract.lookups",
    "ItemRecord": "mmrec.contract.items",
    "ItemTags": "mmrec.contract.questions",
    "Mismatch": "mmrec.contract.questions",
    "Mismatches": "mmrec.contract.questions",
    "MmrecError": "mmrec.errors",
    "Modality": "mmrec.contract.items",
    "NumberFormat": "mmrec.contract.types",
    "Promotion": "mmrec.contract.promotions",
    "RecommendRequest": "mmrec.contract.types",
    "Recommendations": "mmrec.contract.types",
    "Recommender": "mmrec.recommender",
    "ResolvedPath": "mmrec.contract.lookups",
    "ResolvedPaths": "mmrec.contract.lookups",
    "ScoredItem": "mmrec.contract.items",
    "SearchRequest": "mmrec.contract.questions",
    "SearchResults": "mmrec.contract.questions",
    "SemanticIds": "mmrec.contract.lookups",
    "ServiceInfo": "mmrec.contract.types",
    "SimilarRequest": "mmrec.contract.questions",
    "Tag": "mmrec.contract.questions",
    "TagCalibration": "mmrec.contract.questions",
    "TagResults": "mmrec.contract.questions",
    "Versions": "mmrec.contract.items",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mmrec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
