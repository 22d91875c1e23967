"""Finds the pictures of a dataset and decodes them safely. Knows nothing of items, models and the network.

A picture is untrusted input until it is decoded: only formats of an allow-list are accepted, recognised by their first
bytes; only pixel data reaches the decoder; the size is read from the header and checked before decoding; messages of
the decoder are replaced.
"""

from __future__ import annotations

import io
import os
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mmrec.contract.rules import MAX_PICTURE_BYTES
from mmrec.data.picture_containers import only_pixels
from mmrec.data.picture_names import PictureNames, entry_names, list_message, stored_names
from mmrec.errors import InvalidDatasetError, InvalidImageError

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 50_000_000
"""Largest picture decoded, in pixels."""
MAX_ASPECT = 200
"""Longest side over shortest. A 1 x 50,000 strip scaled up to 224 pixels wide would have billions."""

_ALLOWED = "JPEG, PNG, WebP, GIF or BMP"
_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://|data:)")
_UNSUPPORTED = (
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"8BPS", "PSD"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"PK\3\4", "a zip archive"),
    (b"\x1f\x8b", "gzip data"),
)


def decode_picture(data: bytes, *, max_pixels: int = MAX_PIXELS, size_hint: int | None = None) -> Image.Image:
    """The pixels of an encoded picture: RGB, upright, transparent parts on white.

    JPEG, PNG, WebP, GIF and BMP are read; of an animation, the first frame. Safe to call from several
    threads.

    Args:
        data: The encoded file.
        max_pixels: Larger pictures are refused by their header, before decoding.
        size_hint: Side in pixels that the caller will scale down to; a JPEG is then decoded at a fraction of
            its size (never below the hint), which is several times faster.

    Raises:
        InvalidImageError: it is empty, of another format, damaged or cut short, over `max_pixels`, or more
            than `MAX_ASPECT` times longer than wide.
    """
    name = picture_format(data)
    try:
        pixels = only_pixels(name, data)
        _check_size(pixels.width, pixels.height, max_pixels)
        picture = _opener(name)(io.BytesIO(pixels.data))
    except InvalidImageError:
        raise
    except Exception as err:
        # Pillow's own text can hold heap addresses; it stays in the chained error and out of the message.
        raise InvalidImageError(f"the picture starts like a {name} file, but its header is damaged") from err
    try:
        width, height = picture.size
        _check_size(width, height, max_pixels)
        if size_hint is not None and name == "JPEG":
            picture.draft(None, (size_hint, size_hint))
        try:
            picture.load()
            return _upright(_on_white(picture), _orientation(picture))
        except Exception as err:
            raise InvalidImageError(
                f"the {name} picture is damaged or cut short; replace it with a file that opens elsewhere"
            ) from err
    finally:
        picture.close()


def pixels_to_decode(data: bytes) -> int:
    """Pixels that are decoded of a picture that will be scaled down; only its headers are read.

    A JPEG is decoded at a fraction of its size, in about a quarter of the time. 0 for what `decode_picture` refuses.
    """
    try:
        name = picture_format(data)
        pixels = only_pixels(name, data)
        _check_size(pixels.width, pixels.height, MAX_PIXELS)
    except (InvalidImageError, ValueError, LookupError):
        return 0
    return pixels.width * pixels.height // (4 if name == "JPEG" else 1)


def is_url(ref: str) -> bool:
    """Whether a reference is a URL (``https://``, ``data:``)."""
    return bool(_URL.match(ref))


def picture_format(data: bytes) -> str:
    """JPEG, PNG, WebP, GIF or BMP, recognised by the first 512 bytes; the rest is not checked.

    Raises:
        InvalidImageError: it is empty or something else. The message names the format.
    """
    if not data:
        raise InvalidImageError(f"the picture is empty (0 bytes); give a {_ALLOWED} file")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    if data.startswith(b"BM"):
        return "BMP"
    raise InvalidImageError(f"the picture is {_unsupported_format(data)}; give a {_ALLOWED} file")


# --- recognising --------------------------------------------------------------------------------------------


def _opener(name: str) -> Callable[[io.BytesIO], Any]:
    """The Pillow class that reads a format.

    The classes are called directly: `Image.open` would also warn or fail at a process-wide limit of its own.
    """
    if name == "JPEG":
        return _jpeg_class()
    if name == "PNG":
        from PIL.PngImagePlugin import PngImageFile

        return PngImageFile
    if name == "GIF":
        from PIL.GifImagePlugin import GifImageFile

        return GifImageFile
    if name == "WebP":
        from PIL.WebPImagePlugin import WebPImageFile

        return WebPImageFile
    from PIL.BmpImagePlugin import BmpImageFile

    return BmpImageFile


@cache
def _jpeg_class() -> Callable[[io.BytesIO], Any]:
    """A JPEG reader that ignores EXIF: Pillow looks for a resolution there, and warns on damage."""
    from PIL.Image import Exif
    from PIL.JpegImagePlugin import JpegImageFile

    class WithoutExif(JpegImageFile):
        def getexif(self) -> Exif:
            return Exif()

    return WithoutExif


def _unsupported_format(data: bytes) -> str:
    for magic, name in _UNSUPPORTED:
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        return "AVIF" if brand in (b"avif", b"avis") else "HEIC" if brand[:2] in (b"he", b"mi") else "a video"
    start = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(b"<"):
        return "SVG" if b"<svg" in start else "HTML or XML text"
    try:
        text = data[:64].decode("utf-8")
    except UnicodeDecodeError:
        return "of an unknown format"
    return "text" if text.isprintable() or "\n" in text else "of an unknown format"


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise InvalidImageError(f"the picture is {width} x {height} pixels; it must have at least one")
    if width * height > max_pixels:
        raise InvalidImageError(
            f"the picture is {width} x {height} pixels; at most {max_pixels:,} pixels are decoded: scale it down"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InvalidImageError(
            f"the picture is {width} x {height} pixels; its longer side may be at most {MAX_ASPECT} "
            "times the shorter: crop it"
        )


# --- converting ---------------------------------------------------------------------------------------------


def _on_white(picture: Image.Image) -> Image.Image:
    """The picture as RGB, whatever its mode was."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16-bit grey: plain conversion would clip instead of scale
        import numpy as np

        grey = np.asarray(picture)
        return Image.fromarray((grey >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        layer = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        ground = Image.new("RGB", layer.size, (255, 255, 255))
        ground.paste(layer, mask=layer.getchannel("A"))
        return ground
    return picture.convert("RGB")


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none.

    Read here because Pillow's own reader warns about damaged EXIF through the process-wide warnings filter.
    """
    exif = picture.info.get("exif")
    if not isinstance(exif, bytes):
        return 1
    tiff = exif.removeprefix(b"Exif\0\0")
    if tiff[:2] not in (b"II", b"MM"):
        return 1
    order: Any = "little" if tiff[:2] == b"II" else "big"
    start = int.from_bytes(tiff[4:8], order)
    for entry in range(min(int.from_bytes(tiff[start : start + 2], order), 512)):
        at = start + 2 + 12 * entry
        if int.from_bytes(tiff[at : at + 2], order) == 0x0112:
            value = int.from_bytes(tiff[at + 8 : at + 10], order)
            return value if 1 <= value <= 8 else 1
    return 1


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    from PIL.Image import Transpose

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return picture if turn is None else picture.transpose(turn)


# --- the store ----------------------------------------------------------------------------------------------


class PictureStore:
    """The pictures of a dataset folder, in ``images/`` or in ``images.zip``.

    A reference is a path inside either, with or without ``images/`` in front: ``images/1.jpg`` and ``1.jpg``
    are the same, and so are other spellings of one name, see `mmrec.data.picture_names`. A URL names the
    picture stored for it (`mmrec.data.fetched_pictures`). The folder takes precedence over the archive. Safe to use
    from several threads, and to pass to other processes.

    Args:
        root: The dataset folder.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self._lock = threading.Lock()
        self._archive: zipfile.ZipFile | None = None
        self._names: dict[str, zipfile.ZipInfo] | None = None
        self._in_folder: PictureNames | None = None
        self._in_archive: PictureNames | None = None
        self._pid = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return PictureStore, (self.root,)

    def close(self) -> None:
        """Close the archive; the next read opens it again."""
        with self._lock:
            if self._archive is not None:
                self._archive.close()
            self._archive = self._names = self._in_folder = self._in_archive = None

    def __enter__(self) -> PictureStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        archive = getattr(self, "_archive", None)
        if archive is not None:
            archive.close()

    def has(self, ref: str) -> bool:
        """Whether the reference names a file that is there; its content is not read.

        Raises:
            InvalidDatasetError: ``images.zip`` is damaged.
        """
        try:
            return self._locate(ref) is not None
        except InvalidImageError:
            return False

    def read(self, ref: str) -> bytes | None:
        """The encoded bytes of a picture; None when it does not exist, and for ''.

        Raises:
            InvalidImageError: the reference leads out of the folder, is a list, can mean several files, or differs
                from one in the case of letters alone; or the file is over `MAX_PICTURE_BYTES`, damaged in the
                archive, or not readable.
            InvalidDatasetError: ``images.zip`` is damaged.
        """
        found = self._locate(ref)
        if isinstance(found, Path):
            try:
                _check_bytes(ref, found.stat().st_size)
                return found.read_bytes()
            except OSError as err:
                raise InvalidImageError(f"the picture {ref!r} cannot be read: {err.strerror}") from err
        if found is None:
            self._raise_if_near_miss(ref)
            return None
        with self._lock:
            self._entries()
            assert self._archive is not None  # the entry comes from it
            _check_bytes(ref, found.file_size)  # reading never returns more than the declared size
            try:
                return self._archive.read(found)
            except Exception as err:
                raise InvalidImageError(
                    f"the picture {ref!r} is damaged or encrypted in images.zip; pack it again"
                ) from err

    def _locate(self, ref: str) -> Path | zipfile.ZipInfo | None:
        """The file or archive entry that a reference names."""
        names = _candidates(ref)
        for name in names:
            path = self.root / "images" / name
            if _is_file(path):
                return path
        if not names:
            return None
        with self._lock:
            entries = self._entries()
            info = next((entries[name] for name in names if name in entries), None)
            if info is not None or is_url(ref):
                return info
            folder, archive = self._spellings()
            name_in_folder = folder.find(ref)
            if name_in_folder is not None:
                return self.root / "images" / name_in_folder
            name_in_archive = archive.find(ref)
            if name_in_archive is not None:
                return entries[name_in_archive]
        if ref.startswith("/"):
            raise _outside_error(ref)
        return None

    def _raise_if_near_miss(self, ref: str) -> None:
        """Raise for a missing reference that is a list or differs from a name only in case."""
        if not ref or is_url(ref):
            return
        if message := list_message(ref):
            raise InvalidImageError(message)
        with self._lock:
            self._entries()
            similar = next(filter(None, (names.in_another_case(ref) for names in self._spellings())), None)
        if similar is not None:
            raise InvalidImageError(
                f"the picture {ref!r} is not there, but {similar!r} is, which differs in the case of letters alone; "
                "write it so"
            )

    def _spellings(self) -> tuple[PictureNames, PictureNames]:
        """Names in the folder and in the archive, listed at first use. Call with the lock held."""
        if self._in_folder is None:
            self._in_folder = PictureNames(_files_below(self.root / "images"))
        if self._in_archive is None:
            self._in_archive = PictureNames(self._entries())
        return self._in_folder, self._in_archive

    def _entries(self) -> dict[str, zipfile.ZipInfo]:
        """Entries of the archive by name, without a leading ``images/``. Call with the lock held."""
        if self._names is not None and self._pid == os.getpid():
            return self._names
        path = self.root / "images.zip"
        # After a fork the file position would be shared with the parent, so each process opens its own.
        self._pid, self._archive, self._names, self._in_archive = os.getpid(), None, {}, None
        if path.is_file():
            try:
                self._archive = zipfile.ZipFile(path)
            except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as err:
                self._names = None
                raise InvalidDatasetError(f"{str(path)!r} is not a readable zip archive; pack it again") from err
            for info in self._archive.infolist():
                if not info.is_dir() and not _is_macos_metadata(info.filename):
                    for name in reversed(entry_names(info)):
                        self._names[name] = info
        return self._names


def _candidates(ref: str) -> tuple[str, ...]:
    """Names a reference can stand for inside ``images``; none for ''."""
    if not ref:
        return ()
    if is_url(ref):
        return stored_names(ref)
    path = PurePosixPath(ref.replace("\\", "/").lstrip("/"))
    if ".." in path.parts or "\0" in ref or re.match(r"^[A-Za-z]:[\\/]", ref):
        raise _outside_error(ref)
    name = path.as_posix()
    inner = name.removeprefix("images/")
    return (inner,) if inner == name else (inner, name)


def _outside_error(ref: str) -> InvalidImageError:
    return InvalidImageError(
        f"the picture reference {ref!r} leads out of the dataset; name a file in images/ or images.zip"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long or invalid
        return False


def _files_below(folder: Path) -> Iterator[str]:
    """Paths of the files of a folder inside it."""
    for place, _, files in os.walk(folder):
        inside = Path(place).relative_to(folder)
        for file in files:
            if not _is_macos_metadata(file):
                yield (inside / file).as_posix()


def _is_macos_metadata(name: str) -> bool:
    """Whether a file is macOS metadata."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(("._", ".DS_Store"))


def _check_bytes(ref: str, size: int) -> None:
    if size > MAX_PICTURE_BYTES:
        raise InvalidImageError(
            f"the picture {ref!r} has {size:,} bytes; at most {MAX_PICTURE_BYTES:,} are read: scale it down"
        )
