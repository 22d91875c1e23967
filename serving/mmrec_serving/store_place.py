"""The place of the stores of a server, chosen by a path or a URL.

Unit of work: one text. Opens nothing. Knows nothing about what is stored.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote, urlsplit

from mmrec.errors import InvalidArgumentError, MissingExtraError
from mmrec_serving.sqlite_files import StoreFolder

if TYPE_CHECKING:
    from mmrec_serving.postgres import PostgresPlace
    from mmrec_serving.redis_server import RedisPlace

StorePlace: TypeAlias = "StoreFolder | PostgresPlace | RedisPlace"
"""The place of a store: a folder of SQLite files, or a database."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def store_place(text: str | Path) -> StorePlace:
    """The place that a path or URL names.

    Args:
        text: ``changes/`` or ``sqlite:///srv/changes``, a folder of this machine, absolute in a URL; or
            ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE`` or ``redis://USER:PASSWORD@HOST:PORT/NUMBER`` (or
            ``rediss://`` or ``unix://``), which replicas share.

    Raises:
        InvalidArgumentError: the URL has another scheme, or cannot be read. The message has no password.
        MissingExtraError: the driver of the database is not installed.
    """
    found = _SCHEME.match(text) if isinstance(text, str) else None
    if found is None or isinstance(text, Path):
        return StoreFolder(Path(text))
    scheme = found[1].lower()
    if scheme == "sqlite":
        return StoreFolder(_folder(text))
    if scheme in ("postgresql", "postgres"):
        try:
            from mmrec_serving.postgres import PostgresPlace
        except ImportError as err:  # also psycopg's own, of a missing libpq
            raise MissingExtraError(
                "a store in PostgreSQL needs psycopg, which is not installed; run: pip install 'mmrec[postgres]'"
            ) from err
        return PostgresPlace(text)
    if scheme in ("redis", "rediss", "unix"):
        try:
            from mmrec_serving.redis_server import RedisPlace
        except ModuleNotFoundError as err:
            raise MissingExtraError(
                "a store in Redis needs redis-py, which is not installed; run: pip install 'mmrec[redis]'"
            ) from err
        return RedisPlace(text)
    raise InvalidArgumentError(
        f"the store is a URL with the scheme {scheme!r}; give a folder, sqlite:///FOLDER, "
        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, redis://USER:PASSWORD@HOST:PORT/NUMBER (rediss:// with TLS), "
        "or unix:///PATH/OF/SOCKET of a Redis",
        field="store",
    )


def _folder(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc or parts.query or parts.fragment or parts.path in ("", "/"):
        raise InvalidArgumentError(
            "the URL of the SQLite store must be sqlite:///FOLDER, with the absolute path of a folder behind two "
            "slashes, as in sqlite:///srv/changes; a relative path is given without sqlite://",
            field="store",
        )
    return Path(unquote(parts.path))
