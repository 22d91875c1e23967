"""`mmrec demo`: an end-to-end run on a generated catalogue: dataset, fit, server, requests."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmrec.cli.options import Compute
from mmrec.cli.output import Output

if TYPE_CHECKING:
    from mmrec.data.dataset import Dataset
    from mmrec.demo import DemoTruth
    from mmrec.demo.visit import Visit
    from mmrec.training import FitResult


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Output folder.")] = Path("demo-output"),
    items: Annotated[int, typer.Option("--items", metavar="N", help="Products to draw, 50 or more.")] = 480,
    users: Annotated[int, typer.Option("--users", metavar="N", help="Customers, 20 or more.")] = 400,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the generated catalogue.")] = 7,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the server running until Ctrl-C.")] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", help="0 takes any free port; unset: 50051 with --keep, else 0."),
    ] = None,
    *,
    compute: Compute,
    output: Output,
) -> None:
    """Generate a catalogue, train on it, serve it, and show recommendations.

    Each customer of the demonstration prefers a colour, which only the pictures show, and an occasion, which only the
    words mention. Writes DIR/dataset, DIR/bundle, DIR/contact-sheet.png and DIR/server.log.

    Example:
        mmrec demo
        mmrec demo --out /tmp/demo --keep --port 50051

    Raises:
        InvalidArgumentError: too few items or users.
        FailedPreconditionError: the server does not start.
    """
    from mmrec.cli.tables import print_evaluation
    from mmrec.data.dataset import read_dataset
    from mmrec.demo import draw_contact_sheet, write_demo_dataset
    from mmrec.demo.server import running_server
    from mmrec.demo.visit import ask_for_customers, measure_matching, sheet_rows
    from mmrec.errors import InvalidArgumentError
    from mmrec.sdk.client import Client

    if users < 20:
        raise InvalidArgumentError(f"users is {users}; the demonstration needs 20 or more", field="users")
    progress = output.progress()
    folder, bundle, sheet = out / "dataset", out / "bundle", out / "contact-sheet.png"
    truth = write_demo_dataset(folder, items=items, users=users, seed=seed, progress=progress)
    dataset = read_dataset(folder)
    result = _fit(folder, bundle, compute, output)

    if port is None:
        port = 50051 if keep else 0
    with running_server(bundle, out / "server.log", port=port, device=compute.device, dtype=compute.dtype) as server:
        output.note(f"the server is running at {server.address}; sending gRPC requests")
        with Client(server.address, timeout=60) as client:
            visits = ask_for_customers(client, dataset, truth)
            matching = measure_matching(client, dataset, truth)
        draw_contact_sheet(
            sheet_rows(visits, dataset, truth),
            sheet,
            header="mmrec: what customers bought, and what comes next",
        )
        for visit in visits:
            _print_visit(output, visit, dataset, truth)
        print_evaluation(output, result.evaluation)
        output.table(
            f"Do the first {matching.first} recommendations have both the colour and the occasion? "
            f"({matching.customers} customers)",
            ["", "share that has both"],
            [
                ["recommended", f"{matching.recommended:.0%}"],
                ["picked at random", f"{matching.chance:.0%}"],
            ],
        )
        output.data(
            {
                **result.evaluation.as_json(),
                "customers": visits,
                "matching": matching,
                "dataset": folder,
                "bundle": bundle,
                "contact_sheet": sheet,
                "server": server,
                "seconds": result.seconds,
            }
        )
        output.note(f"contact sheet with the pictures: {sheet}")
        if keep:
            output.note(
                f"the server keeps running at {server.address} (process {server.pid}); try\n"
                f'  mmrec search --server {server.address} --text "a mug for the campfire"\n'
                "Ctrl-C here stops it"
            )
            _wait_for_interrupt()
    output.note("the server is stopped")


def _fit(dataset: Path, bundle: Path, compute: Compute, output: Output) -> FitResult:
    """Fit a bundle, and measure it also with pictures alone and with words alone."""
    from mmrec.generator.config import TrainingConfig
    from mmrec.training import FitConfig, fit_dataset
    from mmrec_encoders.fusion_training import FusionConfig

    # A few hundred products and a few thousand purchases, trained on three times: small batches, few epochs.
    config = FitConfig(
        device=compute.device,
        dtype=compute.dtype,
        compare_modalities=True,
        fusion=FusionConfig(steps=120, batch_size=128),
        training=TrainingConfig(epochs=16, patience=4, batch_positions=384, warmup_steps=20, learning_rate=2e-3),
    )
    return fit_dataset(dataset, bundle, config, output.progress())


def _print_visit(output: Output, visit: Visit, dataset: Dataset, truth: DemoTruth) -> None:
    """One customer's purchases and recommendations, with what their pictures show."""

    def line(place: str, item_id: str, last: str) -> list[str]:
        row, known = dataset.catalogue.row_of(item_id), truth.items[item_id]
        title = dataset.catalogue.titles[row] if row is not None else item_id
        fits = "yes" if truth.matches(visit.user_id, item_id) else ""
        return [place, title, f"{known.colour}, {known.pattern}", fits, last]

    bought = [line("bought", item_id, "") for item_id in visit.history]
    offered = [
        line(f"recommended {rank}", item_id, "really bought next" if item_id == visit.actual else "")
        for rank, item_id in enumerate(visit.recommended, start=1)
    ]
    output.table(
        f"Customer {visit.user_id} likes {visit.taste.colour} and {visit.taste.occasion}",
        ["", "product", "its picture shows", "has both", ""],
        [*bought, *offered],
    )


def _wait_for_interrupt() -> None:

    try:
        signal.pause()
    except KeyboardInterrupt:
        return
