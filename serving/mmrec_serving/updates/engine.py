"""The engine that durable changes need; `mmrec.Recommender` is one. Knows nothing about stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mmrec.catalogue.change_applier import ChangeableEngine
from mmrec.contract.engine import Engine
from mmrec.contract.events import UserEvent
from mmrec.contract.items import ItemInput
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import MmrecError

if TYPE_CHECKING:
    from mmrec.bundle import Bundle


class LiveEngine(Engine, ChangeableEngine[Any], Protocol):
    """An engine whose changes can be stored and replayed. All methods may be called from any thread."""

    @property
    def encoder_version(self) -> str:
        """A digest of everything that packed items depend on."""

    @property
    def bundle(self) -> Bundle:
        """The version of the bundle that it was loaded from."""

    def prepare_changes(self) -> None:
        """Prepare the tables that the first change needs."""

    def pack_items(self, items: Any) -> list[bytes]:
        """Encoded items as bytes that can be stored."""

    def unpack_items(
        self, items: Sequence[ItemInput], packed: Sequence[bytes], fields: Sequence[Sequence[str]] = ()
    ) -> Any:
        """Encoded items from stored bytes, no item twice; `fields` of each partial update, none for a whole item."""

    def load_current(self) -> Any:
        """Another engine, with the current version of the bundle."""

    def adopt(self, other: Any, earlier: Iterable[tuple[int, UserEvent]] = ()) -> None:
        """Replace the state by that of the other engine, in one step.

        Args:
            other: The other engine.
            earlier: Events that its bundle lacks and that of this engine includes, each with its number.
        """


EarlierEvents = Callable[["Bundle"], Iterable[tuple[int, UserEvent]]]
"""Gives the recorded events that another version of the bundle lacks and the one that is served includes."""


def no_events(bundle: Bundle) -> Iterable[tuple[int, UserEvent]]:
    """`EarlierEvents` without a store of events."""
    return ()


def warm_up(engine: Engine) -> None:
    """Let an engine answer once, so that no request waits for what it computes at first use."""
    for result in engine.recommend_many([RecommendRequest(k=1)]):
        if isinstance(result, MmrecError):
            raise result
