"""Reads lists of ids, and weights by name, from flags, and the files that flags name."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from mmrec.errors import InvalidArgumentError, NotFoundError


def read_ids(values: Sequence[str], flag: str) -> list[str]:
    """The ids of a flag that may be repeated.

    Ids are separated by commas; an id with a comma is in double quotes. Every other character is part of the id,
    including outer spaces.

    Args:
        values: The value of each use of the flag, e.g. ``["1,2", '"red, large",7']``.
        flag: Name of the flag, for error messages.

    Raises:
        InvalidArgumentError: an id is empty, or a double quote is not closed.
    """
    ids: list[str] = []
    for value in values:
        try:
            found = [one for row in csv.reader([value], strict=True) for one in row]
        except csv.Error as err:
            raise InvalidArgumentError(
                f"{flag} is {value!r}, whose double quotes do not match; commas separate ids, and an id that "
                f"""holds a comma is put in double quotes: {flag} '"a,b",c'"""
            ) from err
        if any(one[0] in " \t" and one.lstrip().startswith('"') for one in found if one):
            raise InvalidArgumentError(
                f"{flag} is {value!r}, with a space before double quotes; leave it out, or put it inside them if it "
                "belongs to the id"
            )
        if "" in found:
            raise InvalidArgumentError(f"{flag} is {value!r}, with an empty id in it; remove the extra comma")
        ids += found
    return ids


def read_weights(values: Sequence[str], flag: str) -> dict[str, float]:
    """Weights by name.

    Args:
        values: The value of each use of the flag, e.g. ``["margin=0.5", "stock=-1"]``.
        flag: Name of the flag, for error messages.

    Raises:
        InvalidArgumentError: one is no name with a number, or a name is there twice.
    """
    weights: dict[str, float] = {}
    for value in values:
        name, _, number = value.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            name, weight = "", 0.0
        if not name or name in weights:
            what = "that name again" if name else "no name with a number"
            raise InvalidArgumentError(
                f"{flag} is {value!r:.80}, {what}; write NAME=NUMBER once for each name, as in price=-0.5"
            )
        weights[name] = weight
    return weights


def read_text_file(path: Path, what: str) -> str:
    """The text of a UTF-8 file that holds `what`.

    Raises:
        NotFoundError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        why = getattr(err, "strerror", "it is not UTF-8")
        raise NotFoundError(f"cannot read {what} from {str(path)!r}: {why}") from err
