"""What a catalogue that changes durably asks of its engine; `mmrec.Recommender` is one. Knows nothing of stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mmrec.catalogue.change_applier import ChangeableEngine
from mmrec.contract.engine import Engine
from mmrec.contract.items import ItemInput

if TYPE_CHECKING:
    from mmrec.bundle import Bundle


class LiveEngine(Engine, ChangeableEngine[Any], Protocol):
    """An engine whose changes can be kept and made again. All of these may be called from any thread."""

    @property
    def encoder_version(self) -> str:
        """Stands for everything that packed items depend on."""

    @property
    def bundle(self) -> Bundle:
        """The version of the bundle that it was loaded from."""

    def prepare_changes(self) -> None:
        """Make what the first change would have to make."""

    def pack_items(self, items: Any) -> list[bytes]:
        """Encoded items as bytes that can be kept."""

    def unpack_items(
        self, items: Sequence[ItemInput], packed: Sequence[bytes], fields: Sequence[Sequence[str]] = ()
    ) -> Any:
        """Items, none twice, with the bytes that were kept; for each the fields that are replaced, none for all."""

    def load_current(self) -> Any:
        """Another engine like this one, with the version of the bundle that is current now."""

    def adopt(self, other: Any) -> None:
        """Continue with everything that the other engine has, in one step."""
