"""`mmrec chat`: a conversation that ends in an item, typed or from a file."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mmrec.cli.customers import IDS_RULE
from mmrec.cli.engines import Connection, Place, open_engine
from mmrec.cli.id_lists import read_ids
from mmrec.cli.options import BundleArgument, Compute, Writing
from mmrec.cli.output import Output
from mmrec.contract.conversation import ConversationTurn, ConverseRequest
from mmrec.errors import InvalidArgumentError

if TYPE_CHECKING:
    from mmrec.sdk.conversation import Conversation


def chat(
    bundle: BundleArgument = "",
    history: Annotated[
        list[str] | None,
        typer.Option("--history", metavar="IDS", help=f"Items of the customer's events, oldest first. {IDS_RULE}"),
    ] = None,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="A user with a stored history.")] = "",
    filter: Annotated[
        str, typer.Option("--filter", metavar="CONDITION", help="Always holds, whatever the customer says.")
    ] = "",
    k: Annotated[int, typer.Option("-k", metavar="N", help="Most items in one turn, at most 10.")] = 1,
    *,
    connection: Connection,
    compute: Compute,
    writing: Writing,
    output: Output,
) -> None:
    """Talk with the recommender: say what you want, and correct what it suggests.

    Each line is one message of the customer. At a terminal the conversation ends with an empty line or the end of the
    input; from a pipe it ends with the last line.

    Example:
        mmrec chat bundle/
        echo "something warm for the garden, under 50" | mmrec chat bundle/ --filter 'in_stock = true'
        mmrec chat bundle/ --language-model smollm2-135m
        mmrec chat --server localhost:50051 --user 42 --json < messages.txt

    Raises:
        InvalidArgumentError: a flag or a message breaks a rule, or nothing is said.
    """
    ids = read_ids(history or [], "--history")
    # Checked before the bundle is loaded.
    ConverseRequest("-", history=ids, user_id=user, filter=filter, k=k)  # type: ignore[arg-type]
    typed = sys.stdin.isatty()
    turns = []
    with (
        open_engine(Place(bundle, connection, compute, writing), whole=True) as engine,
        engine.converse(ids, user_id=user, filter=filter, k=k) as talk,
    ):
        if typed:
            output.note("say what you are looking for; an empty line ends the conversation")
        for line in sys.stdin:
            text = line.strip()
            if not text:
                if typed:
                    break
                continue
            turns.append(_said(talk, text, output))
    if not turns:
        raise InvalidArgumentError("nothing was said; type a message, or pipe one message a line into the command")
    output.data({"turns": turns})


def _said(talk: Conversation, text: str, output: Output) -> ConversationTurn:
    """The turn that answers a message, printed as it comes."""
    said, turn = "", ConversationTurn("")
    for turn in talk.pieces(text):
        said += turn.text
        output.part(turn.text)
    output.line("")
    return replace(turn, text=said)
