"""What the stores of this service in a PostgreSQL database have in common: its address, connections, tables, failures.

In: a `PostgresPlace` and the tables of a store, as numbered migrations. Out: connections and transactions whose
failures are errors of mmrec. Knows nothing about what is stored. Needs the extra ``postgres``.
"""

from __future__ import annotations

from mmrec_serving.postgres.database import Database as Database
from mmrec_serving.postgres.place import PostgresPlace as PostgresPlace
from mmrec_serving.postgres.tables import StoreTables as StoreTables

__all__ = ["Database", "PostgresPlace", "StoreTables"]
