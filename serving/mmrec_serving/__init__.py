"""The gRPC server around an engine: services, scheduler, interceptors, updates and health.

In: an engine, such as `mmrec.Recommender`, and a `ServerConfig`. Out: answers on a port. Knows nothing about models.
"""

from __future__ import annotations

from mmrec_serving.config import ServerConfig as ServerConfig
from mmrec_serving.server import BackgroundServer as BackgroundServer
from mmrec_serving.server import Server as Server
from mmrec_serving.server import serve as serve

__all__ = ["BackgroundServer", "Server", "ServerConfig", "serve"]
