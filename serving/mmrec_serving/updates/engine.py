"""What the live catalogue asks of an engine; `mmrec.Recommender` is one. Knows nothing of stores and gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mmrec.contract.engine import Engine
from mmrec.contract.items import ItemInput, Versions

if TYPE_CHECKING:
    from mmrec.bundle import Bundle
    from mmrec.recommender.encoded_items import Arrivals, Described


class LiveEngine(Engine, Protocol):
    """An engine whose catalogue can change while it answers. All of these may be called from any thread."""

    @property
    def encoder_version(self) -> str:
        """Stands for what packed items depend on."""

    @property
    def bundle(self) -> Bundle:
        """The version of the bundle that it was loaded from."""

    def check_changeable(self) -> None:
        """Raises FailedPreconditionError where no item can come in."""

    def prepare_changes(self) -> None:
        """Make what the first change would have to make."""

    def describe_items(self, items: Sequence[ItemInput], fields: Sequence[str] = ()) -> Described:
        """Encode items that are to come in, or of which only some fields are replaced."""

    def pack_items(self, arrivals: Arrivals) -> list[bytes]:
        """What was encoded, as bytes that can be kept."""

    def restore_items(
        self, items: Sequence[ItemInput], packed: Sequence[bytes], fields: Sequence[Sequence[str]] = ()
    ) -> Arrivals:
        """Items, none twice, with the bytes that were kept; for each the fields that are replaced, none for all."""

    def known(self, item_ids: Sequence[str]) -> list[bool]:
        """Which ids the catalogue has."""

    def change(self, arrivals: Arrivals | None, gone: Sequence[str] = (), *, version: str = "") -> Versions:
        """Let items come in and go, at once; replies name the version of the catalogue from then on."""

    def load_current(self) -> Any:
        """Another engine like this one, with the version of the bundle that is current by now."""

    def adopt(self, other: Any) -> None:
        """Go on with all that the other engine has, in one step."""
