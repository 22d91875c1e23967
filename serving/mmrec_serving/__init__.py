"""The gRPC server around an engine: services, scheduler, interceptors, updates and health.

In: an engine, such as `mmrec.Recommender`, and a `ServerConfig`. Out: answers on a port. Knows nothing about models.
Everything is imported when it is first touched: front ends need no engine, and what comes with one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmrec_serving.config import ServerConfig as ServerConfig
    from mmrec_serving.server import BackgroundServer as BackgroundServer
    from mmrec_serving.server import Server as Server
    from mmrec_serving.server import serve as serve

__all__ = ["BackgroundServer", "Server", "ServerConfig", "serve"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        home = "mmrec_serving.config" if name == "ServerConfig" else "mmrec_serving.server"
        return getattr(import_module(home), name)
    raise AttributeError(f"module 'mmrec_serving' has no attribute {name!r}")
