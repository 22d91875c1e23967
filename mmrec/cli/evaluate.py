"""`mmrec evaluate`: how well a bundle recommends, beside its floors."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.options import DeviceOption, DtypeOption, JsonFlag, QuietFlag
from mmrec.cli.output import Output

__all__ = ["evaluate"]


def evaluate(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder.")],
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Take the events from here instead of from the bundle.")
    ] = "",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Rank each user's last event among all items, with everything the bundle has and with plain counting.

    `fused` is what is served. `generator` is the LLM alone (both heads), `item-head` and `semantic-id-beam` are its
    heads, `transition-graph`, `lexical` and `content` its other channels. `graph-text`, `item-knn`, `transitions` and
    `popularity` are floors: counting, no training.

    Example:
        mmrec evaluate bundle/
        mmrec evaluate bundle/ --json > metrics.json
    """
    from mmrec.cli.tables import print_evaluation
    from mmrec.pipeline import evaluate_bundle

    output = Output(json=json, quiet=quiet)
    result = evaluate_bundle(bundle, dataset or None, device=device, dtype=dtype, progress=output.progress())
    output.data(result.as_json())
    print_evaluation(output, result)
