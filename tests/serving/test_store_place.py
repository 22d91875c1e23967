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
        ("mysql://ann:open-sesame@db/shop", "the store is a URL with the scheme 'mysql'; give a folder, sqlite:///"),
        ("file:///srv/shop", "the scheme 'file'"),
        ("sqlite://srv/shop", "must be sqlite:///FOLDER, with the absolute path of a folder"),
        ("sqlite:///", "must be sqlite:///FOLDER"),
        ("sqlite:///srv/shop?mode=ro", "must be sqlite:///FOLDER"),
        ("postgresql://ann:open-sesame@db:port/shop?nonsense=open-sesame", "cannot be read; it is postgresql://USER"),
        ("postgres://ann:open-%sesame@db/shop", "cannot be read; it is postgresql://USER"),
    ],
)
def test_a_url_that_names_no_store(text: str, message: str) -> None:
    if text.startswith("postgres"):
        pytest.importorskip("psycopg")
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


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("psycopg", "mmrec_serving.postgres"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"needs psycopg, .* pip install 'mmrec\[postgres\]'"):
        store_place("postgresql://db/events")


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
