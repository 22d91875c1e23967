"""The tables of a store in a database: made, and brought to the layout of this mmrec, by numbered migrations.

Unit of work: one store. The table ``mmrec_migrations`` has a row for each migration that was applied. A migration that
was released is never changed; a new layout is a further one. Of several servers that start at once, one applies what is
missing, in one transaction, while the others wait for its lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from mmrec.errors import FailedPreconditionError, NotFoundError

_LOCK = 0x6D6D7265_6C6F636B
"""The advisory lock of whoever migrates."""
_MIGRATIONS = (
    "CREATE TABLE IF NOT EXISTS mmrec_migrations (store text NOT NULL, number integer NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (store, number))"
)


@dataclass(frozen=True, slots=True)
class StoreTables:
    """The tables of a kind of store.

    Attributes:
        name: The kind, as messages name it, such as "store of events".
        key: What a caller sends again to be sure that nothing is done twice: "the same event ids".
        migrations: The statements of each migration, the first one first. All tables are named ``mmrec_...``.
    """

    name: str
    key: str
    migrations: tuple[tuple[str, ...], ...]

    def migrate(self, db: psycopg.Connection[Any]) -> None:
        """Apply the migrations that are missing, all or none.

        Raises:
            FailedPreconditionError: the tables are of a newer mmrec.
        """
        # Who may only read and write rows can use tables that another user has made.
        if self._applied(db) == len(self.migrations):
            return
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            db.execute(_MIGRATIONS)
            for number in range(self._applied(db) + 1, len(self.migrations) + 1):
                for statement in self.migrations[number - 1]:
                    db.execute(statement)
                db.execute("INSERT INTO mmrec_migrations (store, number) VALUES (%s, %s)", (self.name, number))

    def check(self, db: psycopg.Connection[Any]) -> None:
        """Check that the tables are there, in the layout of this mmrec.

        Raises:
            NotFoundError: they are not there.
            FailedPreconditionError: they are of another mmrec.
        """
        applied = self._applied(db)
        if not applied:
            raise NotFoundError(f"there is no {self.name} in the database; name that of `mmrec serve --store`")
        if applied < len(self.migrations):
            raise FailedPreconditionError(
                f"the {self.name} has version {applied} of its layout, this mmrec reads version "
                f"{len(self.migrations)}; start a server of this mmrec with it once, which brings it up to date"
            )

    def _applied(self, db: psycopg.Connection[Any]) -> int:
        """Number of the last migration that was applied; 0: none."""
        (there,) = db.execute("SELECT to_regclass('mmrec_migrations') IS NOT NULL").fetchone() or (False,)
        if not there:
            return 0
        row = db.execute("SELECT max(number) FROM mmrec_migrations WHERE store = %s", (self.name,)).fetchone()
        applied = int((row and row[0]) or 0)
        if applied > len(self.migrations):
            raise FailedPreconditionError(
                f"the {self.name} has version {applied} of its layout, this mmrec reads version "
                f"{len(self.migrations)}; use the mmrec that wrote it, or give another database"
            )
        return applied
