"""`mmrec index`: inspects the decode index of a bundle."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.output import Output
from mmrec.errors import BundleError

BundleArgument = Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder.")]


def stats(bundle: BundleArgument, *, output: Output) -> None:
    """Statistics of the decode index: nodes and codes of each level, collisions, memory.

    Children are the nodes of a level per node of the level above. Items collide when their paths differ only in the
    last code, which makes them unique.

    Example:
        mmrec index stats bundle/
    """
    from mmrec.recommender.index_report import index_stats, open_index

    found = index_stats(open_index(bundle))
    output.data(found)
    columns = ("level", "nodes", "codes used", "of", "children, mean", "most", "items, mean", "most")
    rows = [
        (
            level.level,
            level.nodes,
            level.codes_used,
            level.codes,
            level.mean_children,
            level.most_children,
            level.mean_items,
            level.most_items,
        )
        for level in found.levels
    ]
    output.table("Levels", columns, rows)
    figures = [
        ("items", f"{found.items:,}"),
        ("depth", f"{found.depth} codes"),
        ("items that collide", f"{found.colliding_share:.2%}"),
        ("largest group that collides", f"{found.largest_group:,}"),
        ("memory", f"{found.memory:,} bytes"),
        ("memory per item", f"{found.memory_per_item:.1f} bytes"),
    ]
    output.table("In total", ("what", "value"), figures)


def path(
    bundle: BundleArgument,
    item_ids: Annotated[list[str], typer.Argument(metavar="ITEM...", help="Item ids.")],
    beside: Annotated[int, typer.Option("--beside", metavar="N", help="Neighbours shown on each side.")] = 3,
    *,
    output: Output,
) -> None:
    """Show the path (semantic ID) of an item, and its neighbours in the order of all paths.

    Example:
        mmrec index path bundle/ p0001 p0002 --beside 5

    Raises:
        InvalidArgumentError: a flag breaks a rule.
        NotFoundError: the catalogue does not have an item.
    """
    from mmrec.recommender.index_report import item_places, open_index

    found = item_places(open_index(bundle), item_ids, beside)
    output.data({"items": found})
    for one in found:
        first = one.place - len(one.before)
        rows = [
            (first + step, item.path, item.item_id, item.title)
            for step, item in enumerate((*one.before, one.item, *one.after))
        ]
        output.table(f"{one.item.item_id}: {one.item.path}", ("place", "path", "item", "title"), rows)


def items(
    bundle: BundleArgument,
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Paths or prefixes of paths, as in 12/200/7."),
    ],
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="Items shown per path.")] = 20,
    *,
    output: Output,
) -> None:
    """Show the items whose paths begin with the given codes, and their number.

    Example:
        mmrec index items bundle/ 12/200 7 --limit 5

    Raises:
        InvalidArgumentError: a path or flag breaks a rule.
    """
    from mmrec.semantic_ids.path_lookup import parse_path

    prefixes = [parse_path(text) for text in paths]

    from mmrec.recommender.index_report import items_below, open_index

    found = items_below(open_index(bundle), prefixes, limit)
    output.data({"paths": found})
    for one in found:
        shown = "" if len(one.items) == one.total else f", the first {len(one.items):,}"
        title = f"{one.path}: {one.total:,} {'item' if one.total == 1 else 'items'}{shown}"
        output.table(title, ("path", "item", "title"), [(item.path, item.item_id, item.title) for item in one.items])


def verify(bundle: BundleArgument, *, output: Output) -> None:
    """Check that a decode index can be built from the semantic IDs of a bundle; the exit status is 4 if not.

    The hashes of all files are checked first. Then paths must be unique, and their codes in range.

    Example:
        mmrec index verify bundle/

    Raises:
        BundleError: the index is not valid, or the bundle is damaged in another way.
    """
    from mmrec.recommender.index_report import verify_index

    found = verify_index(bundle)
    output.data(found)
    what = f"the decode index of {found.items:,} items with {found.depth} codes each"
    if found.faults:
        output.table("What is wrong", ("fault",), [(fault,) for fault in found.faults])
        count = f"{len(found.faults)} {'fault' if len(found.faults) == 1 else 'faults'}"
        raise BundleError(f"{what} has {count}: restore the bundle from its source, or fit again")
    rows = [("valid", "yes"), ("items", f"{found.items:,}"), ("codes per item", found.depth)]
    output.table("", ("what", "value"), rows)
    output.note(f"{what} is valid")
