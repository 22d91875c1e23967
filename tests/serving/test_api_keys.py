"""Files of API keys: what is read, what is refused, and what a new key adds."""

from __future__ import annotations

import logging
import re
from datetime import date
from pathlib import Path

import pytest

from mmrec.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from mmrec_serving.api_keys import ApiKey, Scope, add_key, new_key, read_keys, sha256_of
from tests.conftest import fill_disk

HASH = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
OTHER = "0" * 64
KEY = f'[[keys]]\nname = "shop"\nsha256 = "{HASH}"\nscopes = ["read"]\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def write(file: Path, text: str, mode: int = 0o600) -> None:
    file.touch(0o600)
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)


def test_every_field_is_read(file: Path) -> None:
    write(
        file,
        f'{KEY}rate = 2.5\nburst = 40\nexpires = 2027-06-30\n[[keys]]\nname = "ops"\nsha256 = "{OTHER}"\n'
        'scopes = ["admin", "write", "read"]\n',
    )
    shop, ops = read_keys(file)
    assert shop == ApiKey("shop", HASH, frozenset({Scope.READ}), 2.5, 40, date(2027, 6, 30))
    assert ops == ApiKey("ops", OTHER, frozenset({Scope.READ, Scope.WRITE, Scope.ADMIN}))
    assert ops.scope_names == ("read", "write", "admin")


def test_the_hash_is_the_sha256_that_other_programs_compute() -> None:
    assert sha256_of("secret") == HASH
    assert sha256_of(b"secret") == HASH


def test_a_new_key_is_long_and_another_each_time() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"mmrec_[A-Za-z0-9_-]{43}", key) for key in keys)


def test_calls_at_once_are_those_of_a_second_unless_told() -> None:
    assert [ApiKey("a", HASH, frozenset({Scope.READ}), rate).at_once for rate in (0.1, 1, 2.5, 50)] == [1, 1, 3, 50]
    assert ApiKey("a", HASH, frozenset({Scope.READ}), 50, 7).at_once == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has nothing at its top"),
        ("[[key]]\n", "has key at its top"),
        ("keys = []\n", "has keys at its top"),
        (f"owner = 1\n{KEY}", "has owner, keys at its top"),
        ("keys = [1]\n", "key 1: it must be a table"),
        ("[[keys]\n", "is not TOML: .*line 1"),
        (
            KEY.replace("read", "reed"),
            r"key 1 \('shop'\): scope is 'reed'; it must be one of read, events, write, admin",
        ),
        (KEY.replace('["read"]', '"read"'), "scopes must be a list of names"),
        (KEY.replace('["read"]', "[]"), "scopes is empty"),
        (KEY.replace('"shop"', '"my shop"'), "name is 'my shop'; it must be 1 to 64 letters"),
        (KEY.replace('"shop"', "7"), "name is 7"),
        (KEY.replace('name = "shop"\n', ""), "name is missing"),
        (f"{KEY}expire = 2027-06-30\n", "'expire' is unknown; a key has name, sha256, scopes, rate, burst, expires"),
        (f'{KEY}expires = "2027-06-30T"\n', "expires is 2027-06-30T; it must be a day"),
        (f"{KEY}expires = 2027-06-30T00:00:00\n", "expires is 2027-06-30 00:00:00; it must be a day"),
        (f"{KEY}rate = 0\n", "rate is 0; it must be over 0"),
        (f"{KEY}rate = nan\n", "rate is nan"),
        (f'{KEY}rate = "fast"\n', "rate is 'fast'; it must be a number"),
        (f"{KEY}burst = 3\n", "burst is given without a rate"),
        (f"{KEY}rate = 1\nburst = 1.5\n", "burst is 1.5; it must be a whole number"),
        (KEY.replace('"shop"', '"token"'), "'token' is the name of the server's own token"),
        (KEY + KEY.replace(HASH, OTHER), "two keys 'shop'"),
        (KEY + KEY.replace("shop", "copy"), "has the hash of 'shop' twice"),
    ],
)
def test_what_is_not_a_file_of_keys_is_refused_with_its_name(file: Path, text: str, words: str) -> None:
    write(file, text)
    with pytest.raises(InvalidArgumentError, match=words) as refused:
        read_keys(file)
    assert str(file) in refused.value.message


def test_a_key_that_stands_where_its_hash_belongs_is_not_repeated(file: Path) -> None:
    write(file, KEY.replace(HASH, "mmrec_my-own-key"))
    with pytest.raises(InvalidArgumentError, match="sha256 is not 64 lower-case hexadecimal digits") as refused:
        read_keys(file)
    assert "my-own-key" not in refused.value.message
    assert HASH not in repr(ApiKey("shop", HASH, frozenset({Scope.READ})))


def test_bytes_that_are_no_text_are_refused(file: Path) -> None:
    write(file, "")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgumentError, match="is not UTF-8"):
        read_keys(file)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(NotFoundError, match=r"cannot read the API keys in .*keys\.toml.*: No such file"):
        read_keys(file)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(file: Path, mode: int) -> None:
    write(file, KEY, mode)
    with pytest.raises(FailedPreconditionError, match=rf"others may write .*\(mode {mode:o}\).*; run: chmod 600"):
        read_keys(file)
    with pytest.raises(FailedPreconditionError, match="others may write"):
        add_key(file, ApiKey("ops", OTHER, frozenset({Scope.ADMIN})))


@pytest.mark.parametrize(("mode", "warned"), [(0o600, []), (0o400, []), (0o640, ["640"]), (0o604, ["604"])])
def test_others_that_may_read_are_a_warning(
    file: Path, mode: int, warned: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    write(file, KEY, mode)
    with caplog.at_level(logging.WARNING):
        assert [key.name for key in read_keys(file)] == ["shop"]
    assert [re.findall(r"mode (\d+)", record.getMessage())[0] for record in caplog.records] == warned


def test_an_added_key_is_read_again_and_only_the_owner_may_read_the_file(file: Path) -> None:
    first = ApiKey("shop", HASH, frozenset({Scope.EVENTS, Scope.READ}), 50.0, 100, date(2027, 6, 30))
    second = ApiKey("ops", OTHER, frozenset({Scope.ADMIN}))
    add_key(file, first)
    add_key(file, second)
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_keys(file) == (first, second)
    assert file.read_text(encoding="utf-8") == (
        "# API keys of an mmrec server: hashes only. Add one with: mmrec keys new\n\n"
        f'[[keys]]\nname = "shop"\nsha256 = "{HASH}"\nscopes = ["read", "events"]\nrate = 50.0\nburst = 100\n'
        f'expires = 2027-06-30\n\n[[keys]]\nname = "ops"\nsha256 = "{OTHER}"\nscopes = ["admin"]\n'
    )


def test_comments_and_the_mode_of_a_file_stay(file: Path) -> None:
    write(file, f"{KEY}# the shop, until summer", 0o640)
    add_key(file, ApiKey("ops", OTHER, frozenset({Scope.ADMIN})))
    assert [key.name for key in read_keys(file)] == ["shop", "ops"]
    assert "# the shop, until summer\n\n[[keys]]\n" in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_name_that_is_taken_changes_nothing(file: Path) -> None:
    write(file, KEY)
    with pytest.raises(InvalidArgumentError, match="has a key 'shop'; pass another name"):
        add_key(file, ApiKey("shop", OTHER, frozenset({Scope.READ})))
    assert file.read_text(encoding="utf-8") == KEY


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no folder"):
        add_key(tmp_path / "nowhere" / "keys.toml", ApiKey("ops", OTHER, frozenset({Scope.ADMIN})))


def test_a_full_disk_leaves_the_file_as_it_was(small_disk: Path) -> None:
    file = small_disk / "keys.toml"
    write(file, KEY)
    fill_disk(small_disk / "filler")
    number = 0
    # The block that the file ends in has room for some keys.
    while file.stat().st_size < 4096 - 200:
        number += 1
        add_key(file, ApiKey(f"key-{number}", f"{number:064x}", frozenset(Scope)))
    before = file.read_bytes()
    with pytest.raises(OSError, match="No space left"):
        add_key(file, ApiKey(64 * "k", OTHER, frozenset(Scope), 123_456.789, 123_456, date(2027, 6, 30)))
    assert file.read_bytes() == before
    assert len(read_keys(file)) == number + 1
