"""Ends with status 0 if the server at HOST:PORT, the only argument, says SERVING; for servers without TLS.

Kubernetes asks by itself (probes of the kind `grpc`); Docker has no such check.
"""

import sys

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

with grpc.insecure_channel(sys.argv[1]) as channel:
    try:
        status = HealthStub(channel).Check(HealthCheckRequest(), timeout=4).status
    except grpc.RpcError as err:
        sys.exit(f"{sys.argv[1]}: {err.code().name}")
if status != HealthCheckResponse.SERVING:
    sys.exit(f"{sys.argv[1]}: {HealthCheckResponse.ServingStatus.Name(status)}")
