"""`mmrec tag`: labels that fit items, and the missing values of a dataset's column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmrec.cli.engines import Connection, Place, holds_dataset, note_missing, open_engine
from mmrec.cli.id_lists import read_ids, read_text_file
from mmrec.cli.option_groups import Defaults, Flag, RequestFlags
from mmrec.cli.options import Compute
from mmrec.cli.output import Output
from mmrec.contract.items import ItemFailure, ItemInput, Modality
from mmrec.contract.replies import TagResults
from mmrec.contract.requests import TagRequest
from mmrec.contract.rules import Picture
from mmrec.errors import InvalidArgumentError
from mmrec.sdk.options import TagOptions

if TYPE_CHECKING:
    from mmrec.training.impute_column import ImputedColumn

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Imputation:
    """How missing values of a column are imputed: options for a dataset only."""

    bundle: Annotated[
        str, typer.Option("--bundle", metavar="BUNDLE", help="DATASET: use this bundle's encoders. [train new ones]")
    ] = ""
    encoders: Annotated[
        str,
        typer.Option("--encoders", metavar="FOLDER", help="DATASET: use these encoders, as written by mmrec embed."),
    ] = ""
    min_confidence: Annotated[
        float, typer.Option("--min-confidence", metavar="0..1", help="DATASET: impute no value with less confidence.")
    ] = 0.0
    out: Annotated[
        str,
        typer.Option("--out", "-o", metavar="FILE", help="DATASET: write here, as .parquet, .csv, .tsv or .jsonl."),
    ] = ""
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="DATASET: seed of training and held-out items.")] = 0


_FLAGS = {
    "labels": Flag(
        metavar="LABELS",
        help="The labels, separated by commas. May be repeated.",
        read=lambda values: tuple(label.strip() for label in read_ids(values or (), "--labels")),
    ),
    "column": Flag(help="The labels are this column's values; DATASET: column to impute."),
    "templates": Flag(
        "--template",
        "TEXT",
        "Sentence with {label}, instead of the default ones. May be repeated.",
        lambda texts: tuple(texts or ()),
    ),
}


def tag(
    place: Annotated[
        str, typer.Argument(metavar="BUNDLE|DATASET", help="Bundle folder or dataset folder; none with --server.")
    ] = "",
    labels_file: Annotated[str, typer.Option("--labels-file", metavar="FILE", help="The labels, one per line.")] = "",
    items: Annotated[
        list[str] | None, typer.Option("--items", metavar="IDS", help="Items of the catalogue, separated by commas.")
    ] = None,
    text: Annotated[str, typer.Option("--text", metavar="WORDS", help="Words of an item to tag.")] = "",
    picture: Annotated[str, typer.Option("--picture", metavar="FILE", help="Picture of an item to tag.")] = "",
    *,
    options: Annotated[TagOptions, RequestFlags(TagRequest, flags=_FLAGS)],
    imputation: Imputation,
    connection: Annotated[Connection, Defaults({"timeout": 60.0})],
    compute: Compute,
    output: Output,
) -> None:
    """Label items, or impute the missing values of a dataset's column.

    With a bundle or --server: the labels of --labels, --labels-file or --column are compared with the picture and words
    of --items, --text and --picture. Probabilities of a column's values are calibrated on items with a value.

    With a dataset: items with a value in --column are the training examples; the others get a value with a confidence,
    which is measured on held-out items. --labels are possible values besides those in the column.

    Example:
        mmrec tag bundle/ --items p0001,p0002 --labels "red,blue,dark green"
        mmrec tag --server localhost:50051 --picture shoe.jpg --column category --k 3
        mmrec tag shop/ --column colour --out colours.csv --min-confidence 0.8

    Raises:
        InvalidArgumentError: a flag breaks a rule, or belongs to the other mode.
        NotFoundError: a file cannot be read, or the folder is neither a bundle nor a dataset.
    """
    options["labels"] = (*options["labels"], *(_labels_of(Path(labels_file)) if labels_file else ()))
    server = connection.server
    if place and not server and holds_dataset(Path(place)):
        given: dict[str, object] = {"--items": items, "--text": text, "--picture": picture}
        given |= {"--template": options["templates"], "--min-score": options["min_score"]}
        _refuse(given, f"{place} is a dataset folder, for which a column is imputed", "a bundle or --server")
        _impute(Path(place), options, imputation, compute, output)
        return
    _refuse(
        {
            "--bundle": imputation.bundle,
            "--encoders": imputation.encoders,
            "--min-confidence": imputation.min_confidence,
            "--out": imputation.out,
        },
        f"{place or server} is no dataset folder",
        "a dataset folder",
    )
    where = Place(place, connection, compute)
    # Checked before the bundle is loaded.
    TagRequest(**options)  # type: ignore[arg-type]  # the request makes members of words
    image = Picture().check(picture, "picture") if picture else None
    described = [ItemInput(item_id=picture or "", title=text, image=image)] if text.strip() or image else []
    ids = read_ids(items or [], "--items")
    if not described and not ids:
        raise InvalidArgumentError("none of --items, --text and --picture is given; pass at least one of them")
    with open_engine(where) as engine:
        found = engine.tag(described, item_ids=ids, **options)
    _print_tags(output, found)


def _refuse(flags: dict[str, object], why: str, instead: str) -> None:
    given = [name for name, value in flags.items() if value]
    if given:
        raise InvalidArgumentError(f"{given[0]} is given, but {why}; leave it out, or name {instead}")


def _labels_of(path: Path) -> list[str]:
    return [line.strip() for line in read_text_file(path, "labels").splitlines() if line.strip()]


def _print_tags(output: Output, found: TagResults) -> None:
    note_missing(output, found.missing_ids)
    failures = [entry for entry in found.items if isinstance(entry, ItemFailure)]
    if failures and len(failures) == len(found.items):
        raise failures[0].error
    for failure in failures:
        output.note(failure.error.message)
    output.data(found)
    calibration = found.calibration
    quality = "not calibrated: use them for ranking only"
    if calibration.calibrated and calibration.accuracy is not None and calibration.calibration_error is not None:
        quality = (
            f"calibrated; accuracy {calibration.accuracy:.0%} and calibration error "
            f"{calibration.calibration_error:.3f} on {calibration.rows:,} items with a value"
        )
    rows = [
        (entry.item_id, rank, tag.label, float(tag.score))
        for entry in found.items
        if not isinstance(entry, ItemFailure)
        for rank, tag in enumerate(entry.tags, start=1)
    ]
    output.table(f"Labels, with probabilities ({quality})", ("item", "rank", "label", "probability"), rows)


# --- a column of a dataset ------------------------------------------------------------------------------------------


def _impute(dataset: Path, options: TagOptions, imputation: Imputation, compute: Compute, output: Output) -> None:
    column, modality = options["column"], str(options["modality"])
    if not column:
        raise InvalidArgumentError("--column is not given; name the column to impute", field="column")
    # Flags are checked before anything heavy is imported.
    sides: dict[str, Literal["both", "picture", "words"]] = {"fused": "both", "picture": "picture", "words": "words"}
    if modality not in sides:
        words = ", ".join(str(side.value) for side in Modality)
        raise InvalidArgumentError(f"modality is {modality!r:.80}; it must be one of {words}", field="modality")
    from mmrec.training.imputation import ImputationConfig
    from mmrec.training.impute_column import ImputationSource, check_format, impute_dataset_column, write_imputed

    if imputation.out:
        check_format(Path(imputation.out))
    source = ImputationSource(
        bundle=imputation.bundle,
        encoders=imputation.encoders,
        device=compute.device,
        dtype=compute.dtype,
        seed=imputation.seed,
    )
    filled = impute_dataset_column(
        dataset,
        column,
        source,
        ImputationConfig(modality=sides[modality], min_confidence=imputation.min_confidence, top_k=options["k"]),
        labels=tuple(options["labels"]),
        progress=output.progress(),
        note=output.note,
    )
    if imputation.out:
        write_imputed(filled, Path(imputation.out))
    _print_filled(output, filled, imputation.out)


def _print_filled(output: Output, filled: ImputedColumn, out: str) -> None:
    output.data(filled.as_json(values=not out))
    rows = [("items", f"{len(filled.item_ids):,}")]
    rows += [(name, f"{count:,}") for name, count in filled.counts.items()]
    report = filled.result.report
    if report is None:
        output.note("too few items have a value to hold some out, so the accuracy of imputed values is not known")
    else:
        rows += [
            ("accuracy on held-out items", f"{report.accuracy:.1%} of {report.rows:,}"),
            ("calibration error", f"{report.ece:.3f}"),
        ]
    if out:
        rows.append(("file", out))
    output.table(f"Column {filled.result.column}", ("what", "value"), rows)
    shown = [] if out else [row for row in filled.rows() if row[2] == "filled"]
    if shown:
        more = f" (the first {_SHOWN} of {len(shown):,}; --out writes all)" if len(shown) > _SHOWN else ""
        columns = ("item", "value", "confidence")
        output.table(f"Filled in{more}", columns, [(item, value, sure) for item, value, _, sure in shown[:_SHOWN]])
