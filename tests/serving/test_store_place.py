"""Where a store is, by a path or a URL; and that no message has a password."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mmrec.errors import InvalidArgumentError, MissingExtraError, NotFoundError
from mmrec_serving import ServerConfig
from mmrec_serving.event_log import open_events, read_events
from mmrec_serving.sqlite_files import StoreFolder
from mmrec_serving.store_place import store_place
from tests.commands import run
from tests.serving.event_log.making import event


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("changes/", "changes"),
        (Path("changes"), "changes"),
        ("/srv/shop", "/srv/shop"),
        ("sqlite:///srv/shop", "/srv/shop"),
        ("SQLite:///srv/my%20shop/", "/srv/my shop"),
        ("a:b", "a:b"),
    ],
)
def test_a_folder(text: str | Path, folder: str) -> None:
    assert store_place(text) == StoreFolder(Path(folder))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "mysql://ann:open-sesame@db/shop",
            "the scheme 'mysql'; give a folder, sqlite:///.* postgresql://USER.* redis://USER.* unix:///",
        ),
        ("file:///srv/shop", "the scheme 'file'"),
        ("sqlite://srv/shop", "must be sqlite:///FOLDER, with the absolute path of a folder"),
        ("sqlite:///", "must be sqlite:///FOLDER"),
        ("sqlite:///srv/shop?mode=ro", "must be sqlite:///FOLDER"),
        ("postgresql://ann:open-sesame@db:port/shop?nonsense=open-sesame", "cannot be read; it is postgresql://USER"),
        ("postgres://ann:open-%sesame@db/shop", "cannot be read; it is postgresql://USER"),
        ("redis://ann:open-sesame@db:port/0", "cannot be read; it is redis://USER:PASSWORD@HOST:PORT/NUMBER"),
        ("redis://ann:open-sesame@db/shop", "cannot be read; it is redis://USER"),
        ("redis://ann:open-sesame@db/0#open-sesame", "cannot be read; it is redis://USER"),
        ("unix://ann:open-sesame@db/redis.sock", r"unix:///PATH/OF/SOCKET\?db=NUMBER&prefix=NAME"),
        ("unix://?db=1", "cannot be read; it is redis://USER"),
        ("redis://db/0?ssl_cert_reqs=none", "parameter 'ssl_cert_reqs'; redis:// takes prefix, password_file"),
        ("rediss://db/0?db=1", "parameter 'db'; rediss:// takes prefix, password_file, ssl_ca_certs, ssl_certfile, "),
        ("redis://db/0?prefix=a:b", "prefix is 'a:b' in the URL of the Redis store; it must be 1 to 100 letters"),
        ("redis://:open-sesame@db/0?password_file=a", "has a password and a password_file; give one of them"),
    ],
)
def test_a_url_that_names_no_store(text: str, message: str) -> None:
    if text.startswith("postgres"):
        pytest.importorskip("psycopg")
    if text.startswith(("redis", "unix")):
        pytest.importorskip("redis")
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        ServerConfig(store=text)
    assert "sesame" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_database_is_named_without_its_user_and_password() -> None:
    pytest.importorskip("psycopg")
    config = ServerConfig(store="postgresql://ann:open-sesame@db.shop:5433/events?sslmode=require")
    assert str(config.store_place) == "postgresql://db.shop:5433/events"
    assert "sesame" not in repr(config) + repr(config.store_place)
    assert str(store_place("postgres:///events?password=open-sesame")) == "postgresql:///events"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("redis://ann:open-sesame@db.shop:6380/2?prefix=cups", "redis://db.shop:6380/2?prefix=cups"),
        ("rediss://:open-sesame@[::1]", "rediss://[::1]/0?prefix=mmrec"),
        ("redis:///1?password_file=secret", "redis://localhost/1?prefix=mmrec"),
        ("unix:///run/redis/my%20socket?db=3", "unix:///run/redis/my socket?db=3&prefix=mmrec"),
    ],
)
def test_a_redis_is_named_without_its_user_and_password(text: str, name: str) -> None:
    pytest.importorskip("redis")
    config = ServerConfig(store=text)
    assert str(config.store_place) == name
    assert "sesame" not in repr(config) + repr(config.store_place)


@pytest.mark.parametrize(
    ("url", "driver", "package", "message"),
    [
        ("postgresql://db/events", "psycopg", "postgres", r"needs psycopg, .* pip install 'mmrec\[postgres\]'"),
        ("redis://db/0", "redis", "redis_server", r"needs redis-py, .* pip install 'mmrec\[redis\]'"),
    ],
)
def test_without_the_driver_the_extra_is_named(
    url: str, driver: str, package: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith((driver, f"mmrec_serving.{package}"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(MissingExtraError, match=message):
        store_place(url)


def test_a_store_is_opened_by_its_url(tmp_path: Path) -> None:
    place = store_place(f"sqlite://{tmp_path}/shop")
    with pytest.raises(NotFoundError, match="there is no store of events in"):
        read_events(place)
    with open_events(place) as store:
        assert not store.shared
        assert store.record([event()]) == [1]
    with read_events(store_place(tmp_path / "shop")) as reader:
        assert reader.position() == 1


def test_a_wrong_url_ends_the_command_before_anything_is_loaded(tmp_path: Path) -> None:
    done = run("serve", tmp_path, "--store", "mysql://ann:open-sesame@db/shop")
    assert done.returncode == 2
    assert "the store is a URL with the scheme 'mysql'" in done.stderr
    assert "sesame" not in done.stderr + done.stdout
