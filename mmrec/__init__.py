"""mmrec: multimodal item understanding and generative recommendation, served over gRPC.

`Client` and `mmrec.sdk.aio.AsyncClient` talk to a server and need the base install only. `Recommender` gives the same
calls in process and needs ``pip install 'mmrec[all]'``. Everything is imported when it is first touched, so
``import mmrec`` costs next to nothing and never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# One list of names, for type checkers and for imports alike. Importing pathlib would cost more than all of this.
with open(__file__.removesuffix("c") + "i", encoding="utf-8") as _stub:  # noqa: PTH123
    _HOMES = {line.split()[-1]: line.split()[1] for line in _stub if line.startswith("from ")}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mmrec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
