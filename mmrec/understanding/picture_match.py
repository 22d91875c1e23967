"""Tests whether two small pictures show one photograph: re-encoded, scaled, or cropped.

Works on pairs of thumbnails; knows nothing about items and encoders. Embeddings cannot distinguish two wallets of one
brand from a photograph and its copy; pixels can. One picture is aligned to a crop of the other by least squares
(Levenberg-Marquardt on the four edges of the crop frame), and a high quantile of the blurred difference decides:
compression causes small differences everywhere, another product large ones somewhere. Unit: grey levels, 0 to 255.
"""

# Axes: P pairs, H height, W width, S side of the comparison

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mmrec.errors import InvalidArgumentError

Floats = npt.NDArray[np.float32]
Frames = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

NOT_ALIGNED = 255.0
"""Difference of pairs that were not aligned."""

_SIDE = 32
_COARSE_SIDE = 16
_SKETCH_SIDE = 8
_BLUR = 5
_QUANTILE = 0.98
_MAX_CROP = 0.3
_WHOLE = (0.0, 0.0, 1.0, 1.0)
_MARGINS = (0.0, 0.06, 0.12, 0.18)
_REFERENCE_CONTRAST = 64.0
_MIN_CONTRAST = 4.0
_MAX_COARSE_RMS = 14.0
"""Root mean square difference after the coarse alignment above which a pair is not aligned further."""
_PAIRS_AT_ONCE = 256
_ROWS_AT_ONCE = 512


def _grid() -> tuple[tuple[float, float, float, float], ...]:
    """Crop frames that are tried: left, top, right, bottom as shares of the picture."""
    frames = []
    for margin in _MARGINS:
        shifts = (0.0,) if not margin else (0.0, -margin / 2, margin / 2)
        frames += [(margin + x, margin + y, 1 - margin + x, 1 - margin + y) for x in shifts for y in shifts]
    return tuple(frames)


_FRAMES = _grid()


class PictureMatcher:
    """Compares pictures of a catalogue; keeps an 8 x 8 sketch of each.

    Args:
        pixels_N3HW: Thumbnails of the whole pictures, stretched to a square; `THUMBNAIL_SIDE` pixels a side are
            enough, 32 the least. May be a memory map. Shape: (N, 3, H, W), uint8.
        has_image_N: Which rows hold a picture; the others are not read. Shape: (N,), bool.

    Raises:
        InvalidArgumentError: the thumbnails have another shape or type, or the lengths differ.
    """

    def __init__(self, pixels_N3HW: npt.NDArray[np.uint8], has_image_N: npt.NDArray[np.bool_]) -> None:
        shape = pixels_N3HW.shape
        if len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < _SIDE or pixels_N3HW.dtype != np.uint8:
            raise InvalidArgumentError(
                f"pixels have shape {shape} and type {pixels_N3HW.dtype}; they must be uint8 (items, 3, height, "
                f"width), each side {_SIDE} or more",
                field="pixels",
            )
        if has_image_N.shape != shape[:1]:
            raise InvalidArgumentError(
                f"there are {shape[0]:,} thumbnails and {len(has_image_N):,} flags; give one each", field="pixels"
            )
        self._pixels = pixels_N3HW
        self.rows = np.flatnonzero(has_image_N)
        self._sketches = np.zeros((shape[0], 3 * _SKETCH_SIDE**2), np.float32)
        for at in range(0, len(self.rows), _ROWS_AT_ONCE):
            rows = self.rows[at : at + _ROWS_AT_ONCE]
            self._sketches[rows] = self._crops(rows, (_WHOLE,))[:, 0]

    def sketches(self, rows: Rows, *, crops: bool = False) -> Floats:
        """Unit vectors for searching a picture or its crops; zero for a blank picture.

        Args:
            rows: Rows of pictures. Shape: (R,).
            crops: Also return the sketches of crops of each picture, after that of the whole.

        Returns:
            Shape: (R, D), or with `crops` (R * C, D), float32.
        """
        if not crops:
            return _unit(self._sketches[rows])
        return _unit(self._crops(rows, _FRAMES[::_SEARCH_STEP]).reshape(-1, self._sketches.shape[1]))

    def match(self, first_P: Rows, second_P: Rows, *, max_close: int, give_up: float = NOT_ALIGNED) -> Floats:
        """Difference of each pair after the best alignment.

        Args:
            first_P: Rows of pictures. Shape: (P,).
            second_P: The other picture of each pair.
            max_close: Pairs of each picture that are aligned, those with the least coarse difference.
            give_up: Coarse difference in grey levels from which on pairs are not aligned.

        Returns:
            Grey levels at reference contrast, 0 (equal) to 255: the 98% quantile of the difference. A copy that was
            compressed, or cropped by 15% at each side, has less than 10; other products have 20 and more, unless they
            look the same. Pairs that were not aligned get `NOT_ALIGNED`. Shape: (P,), float32.
        """
        residual_P = np.full(len(first_P), NOT_ALIGNED, np.float32)
        one_P, one_frame_P = self._match_coarse(first_P, second_P)
        two_P, two_frame_P = self._match_coarse(second_P, first_P)
        coarse_P = np.minimum(one_P, two_P)
        chosen = np.flatnonzero(_are_among_best(first_P, second_P, coarse_P, max_close) & (coarse_P < give_up))
        frames = np.array(_FRAMES)
        for at in range(0, len(chosen), _PAIRS_AT_ONCE):
            pairs = chosen[at : at + _PAIRS_AT_ONCE]
            # The picture that the other one is a crop of comes first.
            swap = two_P[pairs] < one_P[pairs]
            whole = np.where(swap, second_P[pairs], first_P[pairs])
            part = np.where(swap, first_P[pairs], second_P[pairs])
            frame_P4 = frames[np.where(swap, two_frame_P[pairs], one_frame_P[pairs])]
            residual_P[pairs] = _match_fine(self._read(whole), self._read(part), frame_P4)
        return residual_P

    def _read(self, rows: Rows) -> Floats:
        return np.asarray(self._pixels[rows], np.float32)

    def _crops(self, rows: Rows, frames: Sequence[tuple[float, float, float, float]]) -> Floats:
        """Sketches of crops, each colour minus its mean. Shape: (R, frames, D), float32."""
        small = _halved(self._read(rows))
        # One frame for all pictures, so that the weights are computed once.
        cut = [_without_mean(_framed(small, np.array([frame]), _SKETCH_SIDE)) for frame in frames]
        return np.stack(cut, axis=1).reshape(len(rows), len(frames), -1)

    def _match_coarse(self, whole_P: Rows, part_P: Rows) -> tuple[Floats, Rows]:
        """Difference of the sketches in the best frame, in grey levels at reference contrast, and that frame."""
        best_P = np.empty(len(whole_P), np.float32)
        frame_P = np.empty(len(whole_P), np.int64)
        order = np.argsort(whole_P, kind="stable")
        rows, starts = np.unique(whole_P[order], return_index=True)
        ends = np.append(starts[1:], len(order))
        for at in range(0, len(rows), _ROWS_AT_ONCE):
            block = slice(at, at + _ROWS_AT_ONCE)
            pairs = order[starts[block][0] : ends[block][-1]]
            crops_RCD = self._crops(rows[block], _FRAMES)
            place = np.searchsorted(rows[block], whole_P[pairs])
            for inner in range(0, len(pairs), 4 * _PAIRS_AT_ONCE):
                some = pairs[inner : inner + 4 * _PAIRS_AT_ONCE]
                target = self._sketches[part_P[some]]
                left = crops_RCD[place[inner : inner + len(some)]] - target[:, None]
                squares = np.einsum("pcd,pcd->pc", left, left) / left.shape[2]
                frame_P[some] = squares.argmin(axis=1)
                contrast = np.sqrt(np.square(target).mean(axis=1))
                best_P[some] = np.sqrt(squares.min(axis=1)) * _contrast_factor(contrast)
        return best_P, frame_P


_SEARCH_STEP = 3
"""Every third crop is used for searching; sketches of neighbouring crops hardly differ."""


def _are_among_best(first_P: Rows, second_P: Rows, coarse_P: Floats, max_close: int) -> npt.NDArray[np.bool_]:
    """Which pairs are among the `max_close` best of either picture. Shape: (P,), bool."""
    chosen_P = np.zeros(len(first_P), np.bool_)
    for side_P in (first_P, second_P):
        order = np.lexsort((coarse_P, side_P))
        starts = np.flatnonzero(np.diff(side_P[order], prepend=-1))
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
        chosen_P[order[rank < max_close]] = True
    return chosen_P


def _match_fine(whole_P3HW: Floats, part_P3HW: Floats, frame_P4: Frames) -> Floats:
    """The 98% quantile of the difference after the frame is adjusted."""
    residual_P = np.full(len(whole_P3HW), NOT_ALIGNED, np.float32)
    half_whole, half_part = _halved(whole_P3HW), _halved(part_P3HW)
    frame_P4 = _adjusted(half_whole, half_part, frame_P4, _COARSE_SIDE)
    difference, factor_P = _aligned_difference(half_whole, half_part, frame_P4, _COARSE_SIDE)
    near = np.flatnonzero(np.sqrt(np.square(difference).mean(axis=(1, 2, 3))) * factor_P <= _MAX_COARSE_RMS)
    if not len(near):
        return residual_P
    whole, part = whole_P3HW[near], part_P3HW[near]
    difference, factor_P = _aligned_difference(whole, part, _adjusted(whole, part, frame_P4[near], _SIDE), _SIDE)
    worst_PSS = np.abs(_blurred(difference)).max(axis=1)
    worst_P = np.quantile(worst_PSS.reshape(len(near), -1), _QUANTILE, axis=1)
    residual_P[near] = np.minimum(worst_P * factor_P, NOT_ALIGNED)
    return residual_P


def _aligned_difference(whole_P3HW: Floats, part_P3HW: Floats, frame_P4: Frames, side: int) -> tuple[Floats, Floats]:
    """The difference inside the frames, and its contrast factor. Shapes: (P, 3, S, S), (P,)."""
    target = _without_mean(_framed(part_P3HW, np.array([_WHOLE]), side))
    contrast_P = np.sqrt(np.square(target).mean(axis=(1, 2, 3)))
    return _without_mean(_framed(whole_P3HW, frame_P4, side)) - target, _contrast_factor(contrast_P)


def _contrast_factor(contrast: Floats) -> Floats:
    """Factor that scales a difference to reference contrast, since pale pictures always differ little.

    A square root, because compression errors do not depend on the contrast.
    """
    return np.asarray(np.sqrt(_REFERENCE_CONTRAST / np.maximum(contrast, _MIN_CONTRAST)), np.float32)


def _unit(rows_RD: Floats) -> Floats:
    norm = np.linalg.norm(rows_RD, axis=1, keepdims=True)
    # Below 1 there is only the rounding noise of a blank picture.
    return np.asarray(np.where(norm > 1.0, rows_RD / np.maximum(norm, 1e-6), 0.0), np.float32)


def _adjusted(whole_P3HW: Floats, part_P3HW: Floats, frame_P4: Frames, side: int, rounds: int = 3) -> Frames:
    """The frame with its edges moved to reduce the sum of squares (Levenberg-Marquardt)."""
    count = len(whole_P3HW)
    target = _without_mean(_framed(part_P3HW, np.array([_WHOLE]), side))

    def residuals(frames: Frames) -> Floats:
        return (_without_mean(_framed(whole_P3HW, frames, side)) - target).reshape(count, -1)

    frame_P4 = frame_P4.copy()
    residual_PD = residuals(frame_P4)
    best_P = np.square(residual_PD).sum(axis=1)
    damping_P = np.full(count, 1e-2)
    for _ in range(rounds):
        slopes = []
        for edge in range(4):
            nudged = frame_P4.copy()
            nudge_P = np.where(nudged[:, edge] < 0.5, 0.01, -0.01)
            nudged[:, edge] += nudge_P
            slopes.append((residuals(nudged) - residual_PD) / nudge_P[:, None].astype(np.float32))
        slopes_P4D = np.stack(slopes, axis=1)
        normal_P44 = (slopes_P4D @ slopes_P4D.transpose(0, 2, 1)).astype(np.float64)
        right_P4 = np.einsum("ped,pd->pe", slopes_P4D, residual_PD).astype(np.float64)
        trace_P = np.einsum("pee->p", normal_P44)
        normal_P44 += ((damping_P * trace_P + 1e-3)[:, None, None]) * np.eye(4)
        step_P4 = -np.linalg.solve(normal_P44, right_P4[:, :, None])[:, :, 0]
        tried_P4 = frame_P4 + np.clip(step_P4, -0.06, 0.06)
        tried_P4[:, :2] = np.clip(tried_P4[:, :2], 0.0, _MAX_CROP)
        tried_P4[:, 2:] = np.clip(tried_P4[:, 2:], 1.0 - _MAX_CROP, 1.0)
        tried_PD = residuals(tried_P4)
        found_P = np.square(tried_PD).sum(axis=1)
        better = found_P < best_P
        frame_P4[better], residual_PD[better], best_P[better] = tried_P4[better], tried_PD[better], found_P[better]
        damping_P = np.where(better, 0.3 * damping_P, 4.0 * damping_P)
    return frame_P4


def _halved(picture_P3HW: Floats) -> Floats:
    """Half the size, by the mean of four pixels."""
    high, wide = (size // 2 * 2 for size in picture_P3HW.shape[2:])
    even = picture_P3HW[:, :, :high, :wide]
    four = even[:, :, ::2, ::2] + even[:, :, 1::2, ::2] + even[:, :, ::2, 1::2] + even[:, :, 1::2, 1::2]
    return np.asarray(four / 4, np.float32)


def _framed(picture_P3HW: Floats, frame_P4: Frames, side: int) -> Floats:
    """Content of the frame, scaled to a square; one frame for all pictures or one each. Shape: (P, 3, S, S)."""
    rows = _weights(frame_P4[:, 1], frame_P4[:, 3], picture_P3HW.shape[2], side)
    columns = _weights(frame_P4[:, 0], frame_P4[:, 2], picture_P3HW.shape[3], side)
    framed: Floats = np.matmul(np.matmul(rows[:, None], picture_P3HW), columns.transpose(0, 2, 1)[:, None])
    return framed


def _weights(start_P: npt.NDArray[np.float64], end_P: npt.NDArray[np.float64], source: int, side: int) -> Floats:
    """Shares of source pixels in each target pixel, linear between neighbours. Shape: (P, S, source)."""
    scale_P1 = ((end_P - start_P) * source / side)[:, None]
    centre_PS = start_P[:, None] * source + (np.arange(side)[None] + 0.5) * scale_P1 - 0.5
    distance = np.abs(np.arange(source)[None, None] - np.clip(centre_PS, 0, source - 1)[:, :, None])
    weights = np.maximum(0.0, 1.0 - distance / np.maximum(1.0, scale_P1)[:, :, None])
    return np.asarray(weights / weights.sum(axis=2, keepdims=True), np.float32)


def _without_mean(picture_P3SS: Floats) -> Floats:
    """Each colour minus its mean, so that overall brightness does not count."""
    return np.asarray(picture_P3SS - picture_P3SS.mean(axis=(2, 3), keepdims=True), np.float32)


def _blurred(picture_P3SS: Floats) -> Floats:
    """A box blur."""
    half = _BLUR // 2
    padded = np.pad(picture_P3SS, ((0, 0), (0, 0), (half, half), (half, half)), mode="edge")
    side = picture_P3SS.shape[2]
    across = np.stack([padded[:, :, :, shift : shift + side] for shift in range(_BLUR)]).sum(axis=0)
    around = np.stack([across[:, :, shift : shift + side] for shift in range(_BLUR)]).sum(axis=0)
    return np.asarray(around / _BLUR**2, np.float32)
