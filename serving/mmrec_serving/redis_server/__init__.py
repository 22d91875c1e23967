"""What the stores of this service in a Redis have in common: its address, connections, settings, keys, failures.

In: a `RedisPlace` and the keys of a store. Out: replies to commands and scripts, whose failures are errors of mmrec.
Knows nothing about what is stored. Needs the extra ``redis``.
"""

from __future__ import annotations

from mmrec_serving.redis_server.database import Database as Database
from mmrec_serving.redis_server.place import RedisPlace as RedisPlace
from mmrec_serving.redis_server.store_keys import StoreKeys as StoreKeys

__all__ = ["Database", "RedisPlace", "StoreKeys"]
