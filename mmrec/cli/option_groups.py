"""Groups of options that a command receives as one argument: a frozen dataclass, or the keyword arguments of a request.

Names, defaults, ranges and help texts of a request's options come from the fields of the request
(`mmrec.contract.requests`). Knows nothing of what commands do.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import typer

from mmrec.cli.id_lists import read_ids, read_weights
from mmrec.cli.output import Output
from mmrec.contract.items import FilterMode
from mmrec.contract.rules import Choice, FieldRule, Id, Ids, Share, Size, Weights, field_rules


@dataclass(frozen=True, slots=True)
class Flag:
    """Command-line option of a request's field, where it differs from what the field's name and rule imply.

    Attributes:
        name: Name of the option; empty: made from the field's name.
        metavar: Placeholder of the value in the help; empty: made from the rule.
        help: Help text; empty: the field's `Doc`.
        read: Converts the text (the list of texts, for a list field) to the field's value.
    """

    name: str = ""
    metavar: str = ""
    help: str = ""
    read: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class RequestFlags:
    """Annotates the keyword arguments of a request, as in ``Annotated[SimilarOptions, RequestFlags(SimilarRequest)]``.

    Attributes:
        request: The request dataclass.
        without: Fields that have no option.
        flags: Differing options, by field.
    """

    request: type
    without: tuple[str, ...] = ()
    flags: Mapping[str, Flag] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Defaults:
    """Annotates a dataclass of options with a command's own defaults, by field."""

    values: Mapping[str, Any]


class _Group(NamedTuple):
    parameters: list[inspect.Parameter]
    value: Callable[[dict[str, Any]], Any]


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with each parameter that is a group of options replaced by the options."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, _Group] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        group = _group(hints[name])
        if group is None:
            parameters.append(_parameter(name, hints[name], parameter.default))
        else:
            groups[name] = group
            parameters += group.parameters

    def run(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group.value({parameter.name: given.pop(parameter.name) for parameter in group.parameters})
        command(**given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _group(hint: Any) -> _Group | None:
    kind: Any
    kind, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    for note in notes:
        if isinstance(note, RequestFlags):
            return _request_group(kind, note)
    if kind is Output:
        return _Group(_dataclass_parameters(_OutputOptions, {}), lambda given: Output(**given))
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return None
    make: Callable[..., Any] = kind
    changed = {name: value for note in notes if isinstance(note, Defaults) for name, value in note.values.items()}
    return _Group(_dataclass_parameters(kind, changed), lambda given: make(**given))


@dataclass(frozen=True, slots=True)
class _OutputOptions:
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout instead of tables.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes and no progress on stderr.")] = False


def _dataclass_parameters(kind: Any, changed: Mapping[str, Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [_parameter(entry.name, hints[entry.name], changed.get(entry.name, entry.default)) for entry in fields(kind)]


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    given = inspect.Parameter.empty if default is MISSING else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=given, annotation=annotation)


# --- requests -------------------------------------------------------------------------------------------------------

_METAVARS = {"filter": "CONDITION", "page_token": "TOKEN", "request_id": "NAME"}
_RELAXED = Flag("--relaxed", help="When too few items pass --filter, fill up with the best of the others.")
_SHORT = {"--k": ("-k",)}


def _request_group(options: type, annotated: RequestFlags) -> _Group:
    rules = {rule.name: rule for rule in field_rules(annotated.request)}
    names = [name for name in options.__annotations__ if name not in annotated.without]
    flags = {name: _flag(name, annotated.flags.get(name, Flag())) for name in names}
    hints, defaults = (
        get_type_hints(annotated.request),
        {entry.name: entry.default for entry in fields(annotated.request)},
    )
    parameters, readers = [], {}
    for name in names:
        flag, rule = flags[name], rules[name]
        kind, default, reader = _option_type(hints[name], defaults[name], flag)
        option = typer.Option(
            flag.name,
            *_SHORT.get(flag.name, ()),
            metavar=None if kind is bool else flag.metavar or _metavar(name, rule),
            help=flag.help or _help(rule.doc, flags) + (" May be repeated." if isinstance(rule.rule, Weights) else ""),
            show_default=default not in (None, ""),
        )
        parameters.append(_parameter(name, Annotated[kind, option], default))
        readers[name] = flag.read or reader
    return _Group(parameters, lambda given: {name: readers[name](value) for name, value in given.items()})


def _flag(name: str, flag: Flag) -> Flag:
    if name == "filter_mode":
        return _RELAXED
    return Flag(flag.name or f"--{name.replace('_', '-')}", flag.metavar, flag.help, flag.read)


def _option_type(hint: Any, default: Any, flag: Flag) -> tuple[Any, Any, Callable[[Any], Any]]:
    """Type of the option, its default, and the conversion to the field's value."""
    if hint is FilterMode:
        return bool, False, lambda relaxed: FilterMode.RELAXED if relaxed else FilterMode.STRICT
    if isinstance(default, Enum):
        return str, default.value, lambda word: word
    if get_origin(hint) is tuple:
        return list[str] | None, None, lambda values: tuple(read_ids(values or (), flag.name))
    if get_origin(hint) is Mapping:
        return list[str] | None, None, lambda values: read_weights(values or (), flag.name)
    if bytes in get_args(hint):
        return str, "", lambda path: path or None
    return hint, default, lambda value: value


def _metavar(name: str, rule: FieldRule) -> str:
    held = rule.rule
    if isinstance(held, Choice):
        return "|".join(str(member.value) for member in held.kind)
    if isinstance(held, Share):
        return f"{held.low:g}..{held.high:g}"
    if isinstance(held, Weights):
        return "NAME=NUMBER"
    kinds: tuple[tuple[type, str], ...] = ((Ids, "IDS"), (Id, "NAME"), (Size, "N"))
    return _METAVARS.get(name) or next((word for kind, word in kinds if isinstance(held, kind)), "VALUE")


def _help(doc: str, flags: Mapping[str, Flag]) -> str:
    """The help text of a field, with field names replaced by option names."""
    text = re.sub(r"`([^`]+)`", lambda found: flags[found[1]].name if found[1] in flags else found[1], doc)
    text = re.sub(r"^Whether (to )?", "", text).replace("None:", "left out:")
    return text[:1].upper() + text[1:]
