"""The address of a PostgreSQL database. No message and no `repr` has its password."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.limits import check_numbers

_DEFAULTS: dict[str, object] = {
    "connect_timeout": 5,
    # A server that vanished without a word is noticed in 15 s, not in minutes.
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
    "application_name": "mmrec",
}


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """A database, for the stores in it.

    Attributes:
        url: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE`` with any parameters of libpq behind a ``?``, such as
            ``sslmode=verify-full``, or ``options=-csearch_path%3Dshop`` for the tables of one of several shops. What is
            missing libpq takes from its own variables and files, the password from ``~/.pgpass``.
        busy_timeout_s: Seconds to wait for another server that writes, over 0.

    Raises:
        InvalidArgumentError: libpq cannot read the URL, or `busy_timeout_s` is out of range.
    """

    server: ClassVar[Literal["postgresql"]] = "postgresql"
    """Which kind of server it is."""

    url: str = field(repr=False)
    busy_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        check_numbers(self, "busy_timeout_s", over=0, high=3600)
        self.parameters()

    def __str__(self) -> str:
        found = self.parameters()
        host, port = found.get("host", found.get("hostaddr", "")), found.get("port", "")
        return f"postgresql://{host}{f':{port}' if port else ''}/{found.get('dbname', '')}"

    def parameters(self) -> dict[str, object]:
        """The parameters of a connection, the password among them."""
        try:
            return {**_DEFAULTS, **conninfo_to_dict(self.url)}
        except ProgrammingError:
            # libpq's message quotes the URL, and so would the traceback.
            raise InvalidArgumentError(
                "the URL of the PostgreSQL store cannot be read; it is postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
                "where other characters than letters and digits in a name or password are percent-encoded",
                field="store",
            ) from None
