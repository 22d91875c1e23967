"""`mmrec keys`: the API keys of a server."""

from __future__ import annotations

import builtins
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.output import Output
from mmrec.errors import InvalidArgumentError

FileOption = Annotated[
    Path, typer.Option("--file", metavar="FILE", help="File of keys, as mmrec serve --keys takes it.")
]
_FILE = Path("keys.toml")


def new(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What logs and errors call the key.")],
    scope: Annotated[
        builtins.list[str],  # `list` is the command below
        typer.Option(
            "--scope",
            metavar="read|events|write|admin",
            help="What it allows: asking; recording events; changing the catalogue; listing the events of any customer "
            "and deleting customers. May be repeated.",
        ),
    ],
    rate: Annotated[
        float, typer.Option("--rate", metavar="N", help="Calls a second; each message of a stream is one. 0: no limit.")
    ] = 0.0,
    burst: Annotated[
        int, typer.Option("--burst", metavar="N", help="Calls at once after a pause; 0: as many as in a second.")
    ] = 0,
    expires: Annotated[
        str, typer.Option("--expires", metavar="DAY", help="Last day of the key, in UTC, as in 2027-06-30.")
    ] = "",
    file: FileOption = _FILE,
    *,
    output: Output,
) -> None:
    """Make an API key, print it, and add its hash to a file of keys.

    The key is printed once and stored nowhere. A server with that file takes it within seconds, without a restart.

    Example:
        mmrec keys new --name shop --scope read --scope events --rate 50
        mmrec serve bundle/ --keys keys.toml

    Raises:
        InvalidArgumentError: an option breaks a rule, or the file has a key of that name.
        FailedPreconditionError: others may write the file.
        NotFoundError: the folder of the file is missing.
    """
    from mmrec_serving.api_keys import ApiKey, add_key, new_key, scopes_named, sha256_of

    secret = new_key()
    key = ApiKey(name, sha256_of(secret), scopes_named(scope), rate or None, burst or None, _day(expires))
    add_key(file, key)
    output.data({"key": secret, "added": key, "file": file})
    output.line(secret)
    output.note(f"its hash was added to {file}; the key itself is shown only now")


def list(file: FileOption = _FILE, *, output: Output) -> None:
    """List the API keys of a file: names, scopes, rates and last days.

    Example:
        mmrec keys list --file keys.toml

    Raises:
        NotFoundError: the file cannot be read.
        FailedPreconditionError: others may write it.
        InvalidArgumentError: it is not a file of keys.
    """
    from mmrec_serving.api_keys import read_keys

    keys = read_keys(file)
    output.data({"keys": keys})
    columns = ("name", "scopes", "rate", "burst", "expires")
    rows = [
        (key.name, ", ".join(key.scope_names), key.rate and f"{key.rate:g}", key.rate and key.at_once, key.expires)
        for key in keys
    ]
    output.table("", columns, rows)


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidArgumentError(
            f"expires is {text!r:.80}; it must be a day, as in 2027-06-30", field="expires"
        ) from None
