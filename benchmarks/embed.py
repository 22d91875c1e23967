"""Pictures from JPEG files to Parquet: `mmrec embed` beside the bare forward pass, infinity-emb and plain loops.

All have the weights of one ViT-B-32, the same files, batches and threads, and a process of their own; a contender whose
vectors are not the model's is an error.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import infinity_peer
from benchmarks.checkpoints import MODEL, Checkpoints, clip_checkpoints
from benchmarks.child import call, run_script
from benchmarks.made_data import picture_dataset
from benchmarks.options import Options
from benchmarks.report import Report
from benchmarks.rows import Rows
from mmrec.runtime.device import cpu_multiplies_bfloat16, resolve_device

MMREC, FORWARD, LOOP = "mmrec embed", "bare forward pass", "open_clip loop over files"
SENTENCE, INFINITY = "sentence-transformers loop over files", "infinity-emb"
BATCH = 32
_ROWS = "benchmarks.embed_rows"


class _Part(NamedTuple):
    """Contenders that are compared with each other: one size of picture, one number format.

    Attributes:
        size: Pixels a side of the JPEG files.
        dtype: Number format of computing.
        files: Files for everyone but mmrec, whose job is the larger for being a job.
        job: Files of mmrec's job.
        contenders: In the order of the table.
    """

    size: int
    dtype: str
    files: int
    job: int
    contenders: tuple[str, ...]


PARTS = (
    _Part(500, "float32", 256, 512, (FORWARD, MMREC, LOOP, SENTENCE, INFINITY)),
    _Part(500, "bfloat16", 512, 1024, (FORWARD, MMREC, LOOP, SENTENCE)),
    _Part(1200, "bfloat16", 256, 512, (MMREC, LOOP, SENTENCE)),
    _Part(224, "bfloat16", 512, 1024, (MMREC, LOOP)),
)
QUICK = (
    _Part(500, "float32", 32, 64, (FORWARD, MMREC, LOOP, SENTENCE, INFINITY)),
    _Part(500, "bfloat16", 64, 128, (FORWARD, MMREC, LOOP, SENTENCE)),
    _Part(1200, "bfloat16", 16, 32, (MMREC, LOOP)),
)


def run(options: Options) -> None:
    """Measure and publish the table."""
    parts = QUICK if options.quick else PARTS
    repeats = 1 if options.quick else 2
    device = resolve_device(options.device).type
    if device != "cpu":
        # A GPU is through with what suits a CPU before its clock can be read.
        parts = tuple(part._replace(files=8 * part.files, job=8 * part.job) for part in parts)
    rows = Rows("embed", options, {"parts": str(parts), "repeats": repeats, "batch": BATCH})
    checkpoints = clip_checkpoints()
    most = {size: max(part.job for part in parts if part.size == size) for size in {part.size for part in parts}}
    table, measured, versions = [], [], {}
    for part in parts:
        dataset = picture_dataset(most[part.size], part.size)
        found = {}
        for contender in part.contenders:
            label = f"{part.size} pixels, {part.dtype}, {contender}"
            row = rows.measure(
                label, lambda c=contender, p=part, d=dataset: _measure(c, p, d, checkpoints, repeats, options)
            )
            found[contender] = row
            versions |= row.get("versions", {})
            measured.append({"label": label, **{key: value for key, value in row.items() if key != "first"}})
        # Resizing differs a little between libraries.
        check_same_vectors(found, found.get(FORWARD) or found[LOOP], least=0.98)
        limit = found.get(FORWARD, {}).get("pictures/s") or _forward_of(part, measured)
        for contender, row in found.items():
            ours = found[MMREC]["pictures/s"]
            rate = row["pictures/s"]
            table.append(
                (
                    f"{part.size} x {part.size}",
                    part.dtype,
                    contender,
                    row["items"],
                    rate,
                    row.get("pictures/s with loading"),
                    rate / limit if limit and rate else None,
                    ours / rate if contender != MMREC and rate else None,
                )
            )
    Report(
        "embed",
        f"{MODEL} with random weights, the same for all; JPEG files drawn for the purpose (quality 85, 54 kB at 500 x "
        f"500), batches of {BATCH}, {options.threads} threads, each contender in a process of its own, median of "
        f"{repeats} runs, on {device}. mmrec: from the first file read to the last Parquet shard and the manifest, "
        "decoders' start included, in the environment of its command line; with loading: also imports and loading of "
        "the model. The forward pass has its tensors decoded, prepared and cast beforehand. infinity-emb computes in "
        "float32 on a CPU whatever it is asked for.",
        (
            "pictures",
            "dtype",
            "contender",
            "files",
            "pictures/s",
            "pictures/s with loading",
            "share of the forward pass",
            "mmrec is times as fast",
        ),
        table,
        versions={f"infinity-emb's {package}": number for package, number in versions.items()},
        details={"rows": measured},
        notes=[*_notes(measured), *(row["why"] for row in measured if row.get("why"))],
        rehearsal=options.quick,
    ).publish()
    rows.finish()


def _measure(
    contender: str, part: _Part, dataset: Path, checkpoints: Checkpoints, repeats: int, options: Options
) -> dict[str, Any]:
    device = resolve_device(options.device).type
    files = sorted(str(path) for path in (dataset / "images").iterdir())[: part.files]
    shared: dict[str, Any] = {"files": files, "device": device, "batch_size": BATCH, "repeats": repeats}
    if contender == INFINITY:
        python = options.peers / "bin" / "python"
        if not python.exists():
            return {
                "items": 0,
                "pictures/s": None,
                "why": f"no {options.peers.name}; see benchmarks/requirements-peers",
            }
        raw = run_script(
            python, Path(infinity_peer.__file__), options.threads, model=str(checkpoints.transformers), **shared
        )
    elif contender == MMREC:
        raw = call(
            f"{_ROWS}:mmrec_embed",
            options.threads,
            as_command=True,
            dataset=str(_of_size(dataset, part.job)),
            vectors="image",
            model=str(checkpoints.open_clip),
            dtype=part.dtype,
            device=device,
            batch_size=BATCH,
            repeats=repeats,
        )
    else:
        function = {FORWARD: "forward", LOOP: "open_clip_loop", SENTENCE: "sentence_transformers_loop"}[contender]
        model = checkpoints.transformers if contender == SENTENCE else checkpoints.open_clip
        raw = call(f"{_ROWS}:{function}", options.threads, model=str(model), dtype=part.dtype, **shared)
    seconds = statistics.median(raw["seconds"])
    row = {**raw, "pictures/s": raw["items"] / seconds}
    if "whole" in raw:
        row["pictures/s with loading"] = raw["items"] / raw["whole"]
    return row


def _of_size(dataset: Path, count: int) -> Path:
    """The same pictures, or fewer of them: a folder with a shorter table beside the full one."""
    lines = (dataset / "items.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    if len(lines) == count:
        return dataset
    part = dataset.with_name(f"{dataset.name}-first-{count}")
    part.mkdir(exist_ok=True)
    (part / "items.jsonl").write_text("".join(lines[:count]), encoding="utf-8")
    if not (part / "images").exists():
        (part / "images").symlink_to(dataset / "images", target_is_directory=True)
    return part


def check_same_vectors(found: dict[str, dict[str, Any]], reference: dict[str, Any], least: float) -> None:
    """Every contender gave the model's vectors, but for cosines of `least` and more."""
    expected = _unit(reference["first"])
    for contender, row in found.items():
        if row.get("first"):
            cosine = float((_unit(row["first"]) * expected).sum(axis=1).min())
            if cosine < least:
                raise AssertionError(f"{contender} gave other vectors than the model: cosine {cosine:.4f}")


def _unit(rows: list[list[float]]) -> np.ndarray:
    found = np.asarray(rows)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _forward_of(part: _Part, measured: list[dict[str, Any]]) -> float | None:
    """The forward pass does not depend on the size of the files, only on the number format."""
    for row in measured:
        if row["label"].endswith(f"{part.dtype}, {FORWARD}"):
            return float(row["pictures/s"])
    return None


def _notes(measured: list[dict[str, Any]]) -> list[str]:
    """What a user who changes nothing gets: mmrec's own choice of number format beside the peers' own."""
    own = "bfloat16" if cpu_multiplies_bfloat16() or resolve_device().type != "cpu" else "float32"
    rate = {row["label"]: row["pictures/s"] for row in measured}
    ours = rate.get(f"500 pixels, {own}, {MMREC}")
    pairs = [
        f"{peer} {ours / theirs:.1f} times"
        for peer in (LOOP, SENTENCE, INFINITY)
        if ours and (theirs := rate.get(f"500 pixels, float32, {peer}"))
    ]
    if not pairs:
        return []
    return [
        f"As each comes, on this machine (mmrec in {own}, the others in float32), mmrec is as fast as "
        f"{', '.join(pairs)}."
    ]
