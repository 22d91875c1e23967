"""`mmrec keys`: a key is shown once, and its hash goes into the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrec.cli.keys import list as list_keys
from mmrec.cli.keys import new
from mmrec.cli.output import Output
from mmrec.errors import InvalidArgumentError, NotFoundError
from mmrec_serving.api_keys import read_keys, sha256_of


def test_a_new_key_is_printed_alone_and_opens_what_the_file_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.toml"
    new("shop", ["events", "read"], 50, expires="2027-06-30", file=file, output=Output())
    printed, noted = capsys.readouterr()
    secret = printed.strip()
    assert secret.startswith("mmrec_")
    assert noted == f"its hash was added to {file}; the key itself is shown only now\n"
    (key,) = read_keys(file)
    assert (key.name, key.sha256, key.scope_names) == ("shop", sha256_of(secret), ("read", "events"))
    assert secret not in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_same_as_json_and_the_list_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.toml"
    new("shop", ["read", "events"], 50, file=file, output=Output(json=True, quiet=True))
    made = json.loads(capsys.readouterr().out)
    assert sorted(made) == ["added", "file", "key"]
    assert made["added"]["sha256"] == sha256_of(made["key"])
    new("ops", ["admin"], expires="2027-06-30", file=file, output=Output(quiet=True))
    capsys.readouterr()
    list_keys(file, output=Output())
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[0] == ["name", "scopes", "rate", "burst", "expires"]
    assert cells[2:] == [["shop", "read, events", "50", "50"], ["ops", "admin", "2027-06-30"]]
    list_keys(file, output=Output(json=True))
    listed = json.loads(capsys.readouterr().out)["keys"]
    assert [(key["name"], key["scopes"], key["rate"], key["expires"]) for key in listed] == [
        ("shop", ["events", "read"], 50, None),
        ("ops", ["admin"], None, "2027-06-30"),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scope": ["adm"]}, "scope is 'adm'; it must be one of read, events, write, admin"),
        ({"scope": []}, "scopes is empty"),
        ({"name": "my shop"}, "name is 'my shop'"),
        ({"name": "token"}, "'token' is the name of the server's own token"),
        ({"rate": -1.0}, "rate is -1.0; it must be over 0"),
        ({"burst": 5}, "burst is given without a rate"),
        ({"expires": "June"}, "expires is 'June'; it must be a day, as in 2027-06-30"),
    ],
)
def test_an_option_that_breaks_a_rule_makes_no_file(tmp_path: Path, options: dict[str, object], words: str) -> None:
    given = {"name": "shop", "scope": ["read"], "file": tmp_path / "keys.toml"} | options
    with pytest.raises(InvalidArgumentError, match=words):
        new(**given, output=Output())  # type: ignore[arg-type]
    assert not (tmp_path / "keys.toml").exists()


def test_a_list_of_no_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="make a key with: mmrec keys new"):
        list_keys(tmp_path / "keys.toml", output=Output())
