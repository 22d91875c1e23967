"""Pictures of items that encoders are trained on, wherever these are. Imports no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from mmrec.data.pictures import PictureStore, is_url
from mmrec_encoders.embedding.pictures import Fetcher

_IN_TABLE = "\0in the table/"


class SamplePictures(PictureStore):
    """The pictures of a dataset folder, of its table, and of the web, the last two kept in a folder meanwhile.

    Args:
        root: The dataset folder.
        kept: A folder of this object's own.
        fetcher: Fetches URLs; None fetches none.
    """

    def __init__(self, root: Path, kept: Path, fetcher: Fetcher | None) -> None:
        super().__init__(root)
        self._kept = kept
        self._fetcher = fetcher

    def __reduce__(self) -> tuple[Any, ...]:
        return SamplePictures, (self.root, self._kept, self._fetcher)

    def keep(self, line: int, data: bytes) -> str:
        """Take in a picture of the table; the reference to read it by."""
        ref = f"{_IN_TABLE}{line}"
        self._file(ref).write_bytes(data)
        return ref

    def read(self, ref: str) -> bytes | None:
        """See `PictureStore.read`."""
        if ref.startswith(_IN_TABLE):
            return self._file(ref).read_bytes()
        data = super().read(ref)
        if data is not None or self._fetcher is None or not is_url(ref):
            return data
        file = self._file(ref)
        if not file.is_file():
            file.write_bytes(self._fetcher.fetch(ref))
        return file.read_bytes()

    def _file(self, ref: str) -> Path:
        return self._kept / hashlib.sha256(ref.encode()).hexdigest()
