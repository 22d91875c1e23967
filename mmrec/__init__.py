"""mmrec: multimodal item understanding and generative recommendation, served over gRPC.

`Client` and `mmrec.aio.AsyncClient` talk to a server and need the base install only. `Recommender` gives the same
calls in process and needs ``pip install 'mmrec[all]'``. Everything is imported when it is first touched, so
``import mmrec`` costs next to nothing and never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmrec.aio import AsyncClient as AsyncClient
    from mmrec.client import Client as Client
    from mmrec.errors import MmrecError as MmrecError
    from mmrec.recommender import Recommender as Recommender
    from mmrec.types import ChangeEntry as ChangeEntry
    from mmrec.types import ChangeResults as ChangeResults
    from mmrec.types import DuplicateGroup as DuplicateGroup
    from mmrec.types import DuplicateGroups as DuplicateGroups
    from mmrec.types import EmbedResults as EmbedResults
    from mmrec.types import Evidence as Evidence
    from mmrec.types import FilterMode as FilterMode
    from mmrec.types import ItemEmbedding as ItemEmbedding
    from mmrec.types import ItemFailure as ItemFailure
    from mmrec.types import ItemInput as ItemInput
    from mmrec.types import ItemLookup as ItemLookup
    from mmrec.types import ItemPage as ItemPage
    from mmrec.types import ItemPath as ItemPath
    from mmrec.types import ItemRecord as ItemRecord
    from mmrec.types import ItemTags as ItemTags
    from mmrec.types import Mismatch as Mismatch
    from mmrec.types import Mismatches as Mismatches
    from mmrec.types import Modality as Modality
    from mmrec.types import NumberFormat as NumberFormat
    from mmrec.types import Promotion as Promotion
    from mmrec.types import Recommendations as Recommendations
    from mmrec.types import RecommendRequest as RecommendRequest
    from mmrec.types import ResolvedPath as ResolvedPath
    from mmrec.types import ResolvedPaths as ResolvedPaths
    from mmrec.types import ScoredItem as ScoredItem
    from mmrec.types import SearchRequest as SearchRequest
    from mmrec.types import SearchResults as SearchResults
    from mmrec.types import SemanticIds as SemanticIds
    from mmrec.types import ServiceInfo as ServiceInfo
    from mmrec.types import SimilarRequest as SimilarRequest
    from mmrec.types import Tag as Tag
    from mmrec.types import TagCalibration as TagCalibration
    from mmrec.types import TagResults as TagResults
    from mmrec.types import Versions as Versions

__version__ = "0.1.0"

_HOMES = {
    "AsyncClient": "mmrec.aio",
    "ChangeEntry": "mmrec.types",
    "ChangeResults": "mmrec.types",
    "Client": "mmrec.client",
    "DuplicateGroup": "mmrec.types",
    "DuplicateGroups": "mmrec.types",
    "EmbedResults": "mmrec.types",
    "Evidence": "mmrec.types",
    "FilterMode": "mmrec.types",
    "ItemEmbedding": "mmrec.types",
    "ItemFailure": "mmrec.types",
    "ItemInput": "mmrec.types",
    "ItemLookup": "mmrec.types",
    "ItemPage": "mmrec.types",
    "ItemPath": "mmrec.types",
    "ItemRecord": "mmrec.types",
    "ItemTags": "mmrec.types",
    "Mismatch": "mmrec.types",
    "Mismatches": "mmrec.types",
    "MmrecError": "mmrec.errors",
    "Modality": "mmrec.types",
    "NumberFormat": "mmrec.types",
    "Promotion": "mmrec.types",
    "RecommendRequest": "mmrec.types",
    "Recommendations": "mmrec.types",
    "Recommender": "mmrec.recommender",
    "ResolvedPath": "mmrec.types",
    "ResolvedPaths": "mmrec.types",
    "ScoredItem": "mmrec.types",
    "SearchRequest": "mmrec.types",
    "SearchResults": "mmrec.types",
    "SemanticIds": "mmrec.types",
    "ServiceInfo": "mmrec.types",
    "SimilarRequest": "mmrec.types",
    "Tag": "mmrec.types",
    "TagCalibration": "mmrec.types",
    "TagResults": "mmrec.types",
    "Versions": "mmrec.types",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mmrec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
