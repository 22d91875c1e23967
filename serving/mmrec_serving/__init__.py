"""The gRPC server around an engine: scheduler, services, guards and health. Knows nothing of models."""

from __future__ import annotations

from mmrec_serving.config import ServerConfig as ServerConfig
from mmrec_serving.server import BackgroundServer as BackgroundServer
from mmrec_serving.server import Server as Server
from mmrec_serving.server import serve as serve

__all__ = ["BackgroundServer", "Server", "ServerConfig", "serve"]
