"""`mmrec embed-user`: a customer as a vector in the space of items."""

from __future__ import annotations

import math
from typing import Annotated

from mmrec.cli.customers import CUSTOMER_FLAGS, HistoryOption
from mmrec.cli.engines import Connection, Place, note_missing, open_engine
from mmrec.cli.id_lists import read_ids
from mmrec.cli.option_groups import RequestFlags
from mmrec.cli.options import BundleArgument, Compute
from mmrec.cli.output import Output
from mmrec.contract.items import Fallback
from mmrec.contract.requests import EmbedUserRequest
from mmrec.sdk.options import EmbedUserOptions


def embed_user(
    bundle: BundleArgument = "",
    history: HistoryOption = None,
    *,
    options: Annotated[EmbedUserOptions, RequestFlags(EmbedUserRequest, (), CUSTOMER_FLAGS)],
    connection: Connection,
    compute: Compute,
    output: Output,
) -> None:
    """Embed a customer, by history and words, as a vector in the space of items.

    With --json the vector is printed: a search by it finds items that the customer would like. Without, its length and
    its first numbers are shown.

    Example:
        mmrec embed-user bundle/ --history 1,50,181 --json
        mmrec embed-user --server localhost:50051 --user 42 --text 'something for a rainy day' --text-weight 0.3

    Raises:
        InvalidArgumentError: neither history, user nor text is given, or a flag breaks a rule.
    """
    ids = read_ids(history or [], "--history")
    EmbedUserRequest(ids, **options)  # type: ignore[arg-type]  # checked before the bundle is loaded
    with open_engine(Place(bundle, connection, compute)) as engine:
        found = engine.embed_user(ids, **options)
    note_missing(output, found.missing_ids)
    if found.fallback is Fallback.POPULARITY:
        output.note("nothing is known of the customer: the vector stands for the most popular items")
    output.data(found)
    first = " ".join(f"{number:+.4f}" for number in found.vector[:4])
    norm = math.sqrt(sum(value * value for value in found.vector.tolist()))
    output.table(
        "Customer in the space of items", ["dimension", "norm", "first numbers"], [[len(found.vector), norm, first]]
    )
