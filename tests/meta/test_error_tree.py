"""The tree at the top of errors.py is what the classes are."""

from __future__ import annotations

import re

from mmrec import errors
from mmrec.errors import MmrecError

_LINE = re.compile(r"^(?P<indent>[ │├└─]*)(?P<name>[A-Z]\w+Error)(?P<rest>.*)$")


def _drawn() -> dict[str, tuple[str, str, int]]:
    """Parent, code and exit status of each class of the drawn tree; what is not drawn is inherited."""
    found: dict[str, tuple[str, str, int]] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        depth, name, rest = len(match["indent"]), match["name"], match["rest"]
        while path and path[-1][0] >= depth:
            path.pop()
        parent = path[-1][1] if path else ""
        _, code, status = found.get(parent, ("", "INTERNAL", 1))
        words = rest.split()
        if words and re.fullmatch(r"[A-Z_]{5,}", words[0]):
            code = words[0]
        if number := re.search(r"\bexit (\d+)", rest):
            status = int(number[1])
        found[name] = (parent, code, status)
        path.append((depth, name))
    return found


def _family(base: type[MmrecError]) -> set[type[MmrecError]]:
    # Only those of errors.py: a test elsewhere may derive one of its own.
    children = [child for child in base.__subclasses__() if child.__module__ == errors.__name__]
    return {base}.union(*(_family(child) for child in children))


def test_the_drawn_tree_has_exactly_the_classes_with_their_codes_and_exit_statuses() -> None:
    assert _drawn() == {
        cls.__name__: ("" if cls is MmrecError else cls.__bases__[0].__name__, cls.code, cls.exit_code)
        for cls in _family(MmrecError)
    }


def test_every_error_has_a_reason_of_its_own_and_a_grpc_code_that_exists() -> None:
    import grpc

    known = {code.name for code in grpc.StatusCode}
    classes = _family(MmrecError) - {MmrecError}
    assert {cls.code for cls in classes} <= known
    assert len({cls.reason for cls in classes}) == len(classes)


def test_every_exit_status_is_explained_by_the_command_line() -> None:
    from mmrec.cli import EXIT_CODES

    assert {cls.exit_code for cls in _family(MmrecError)} <= set(EXIT_CODES)
