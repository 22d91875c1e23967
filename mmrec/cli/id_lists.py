"""Lists of ids in one flag: commas separate, double quotes protect a comma inside an id."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from mmrec.errors import InvalidArgumentError


def read_ids(values: Sequence[str], flag: str) -> list[str]:
    """The ids in a flag that may be repeated: commas separate, double quotes protect a comma inside an id.

    Every other character belongs to the id, spaces at its ends too.

    Args:
        values: What each use of the flag was given, e.g. ``["1,2", '"red, large",7']``.
        flag: The flag's name, for the message.

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
