"""Whether two small pictures show one photograph: re-encoded, scaled, or with its borders cut off.

Works on pairs of thumbnails; knows nothing about items and encoders. An embedding says that two pictures show like
things, and two wallets of one brand are as like as a photograph and its copy. Pixels tell them apart. One picture is
laid over the other, the frame is moved until as little as possible is left over (Gauss-Newton on its four edges), and
what remains is blurred a little and read off at its worst places: compression leaves a little everywhere, another
product leaves much somewhere. The result has a unit: grey levels of 255.
"""

# Axes: P pairs, H height, W width, S side of the comparison

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmrec.errors import InvalidArgumentError

__all__ = ["NOT_ALIGNED", "THUMBNAIL_SIDE", "match_pictures"]

Floats = npt.NDArray[np.float32]
Frames = npt.NDArray[np.float64]

THUMBNAIL_SIDE = 48
"""Pixels a side of a thumbnail that shows enough: more takes longer and decides no better."""
NOT_ALIGNED = 255.0
"""What pairs get that are so different that no alignment was tried."""

_SIDE = 32
_COARSE_SIDE = 16
_BLUR = 5
_WORST = 0.98
_MOST_CUT = 0.3
_WHOLE = (0.0, 0.0, 1.0, 1.0)
_MARGINS = (0.0, 0.06, 0.12, 0.18)
_GIVE_UP = 36.0
"""Root mean square, in grey levels, of a rough comparison above which two pictures cannot be one."""
_PAIRS_AT_ONCE = 256


def match_pictures(first_P3HW: npt.NDArray[np.uint8], second_P3HW: npt.NDArray[np.uint8]) -> Floats:
    """What is left of the difference of each pair once one picture is laid over the other as well as it can be.

    Args:
        first_P3HW: Thumbnails of the whole pictures, whatever their proportions; `THUMBNAIL_SIDE` pixels a side are
            enough, 32 the least. Shape: (P, 3, H, W), uint8.
        second_P3HW: The other picture of each pair. Same shape.

    Returns:
        Grey levels, 0 (equal) to 255: 98% of the places differ by no more. A copy that was compressed hard, or had 15%
        cut off at each side, has less than 8; other products have 20 and more, unless they look the same. Pairs that
        are far apart in a rough comparison get `NOT_ALIGNED`. Shape: (P,), float32.

    Raises:
        InvalidArgumentError: the shapes differ, or they are not pictures of 32 pixels a side or more.
    """
    shape = first_P3HW.shape
    if shape != second_P3HW.shape or len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < _SIDE:
        raise InvalidArgumentError(
            f"pictures have shapes {shape} and {second_P3HW.shape}; both must be (pairs, 3, height, width), each side "
            f"{_SIDE} or more",
            field="pixels",
        )
    left_P = np.empty(shape[0], np.float32)
    for at in range(0, shape[0], _PAIRS_AT_ONCE):
        first = first_P3HW[at : at + _PAIRS_AT_ONCE].astype(np.float32)
        second = second_P3HW[at : at + _PAIRS_AT_ONCE].astype(np.float32)
        left_P[at : at + len(first)] = _match(first, second)
    return left_P


def _match(first_P3HW: Floats, second_P3HW: Floats) -> Floats:
    left_P = np.full(len(first_P3HW), NOT_ALIGNED, np.float32)
    one_frame_P4, one_P = _roughly(first_P3HW, second_P3HW)
    two_frame_P4, two_P = _roughly(second_P3HW, first_P3HW)
    close = np.flatnonzero(np.minimum(one_P, two_P) <= _GIVE_UP)
    if not len(close):
        return left_P
    # The one of which the other is a cutting comes first.
    swap_P = two_P[close] < one_P[close]
    swapped = swap_P[:, None, None, None]
    whole = np.where(swapped, second_P3HW[close], first_P3HW[close])
    part = np.where(swapped, first_P3HW[close], second_P3HW[close])
    frame_P4 = np.where(swap_P[:, None], two_frame_P4[close], one_frame_P4[close])
    frame_P4 = _adjusted(_halved(whole), _halved(part), frame_P4, _COARSE_SIDE)
    frame_P4 = _adjusted(whole, part, frame_P4, _SIDE)
    difference = _centred(_framed(whole, frame_P4, _SIDE)) - _centred(_framed(part, _frames(len(part), _WHOLE), _SIDE))
    worst_PSS = np.abs(_blurred(difference)).max(axis=1)
    left_P[close] = np.quantile(worst_PSS.reshape(len(close), -1), _WORST, axis=1)
    return left_P


def _roughly(whole_P3HW: Floats, part_P3HW: Floats) -> tuple[Frames, Floats]:
    """The best frame of a grid at few pixels, and the root mean square that it leaves."""
    count = len(whole_P3HW)
    small_whole = _halved(whole_P3HW)
    target = _centred(_framed(_halved(part_P3HW), _frames(count, _WHOLE), _COARSE_SIDE))
    best_P = np.full(count, np.inf, np.float32)
    frame_P4 = _frames(count, _WHOLE)
    for margin in _MARGINS:
        shifts = (0.0,) if not margin else (-margin / 2, 0.0, margin / 2)
        for x in shifts:
            for y in shifts:
                frame = (margin + x, margin + y, 1 - margin + x, 1 - margin + y)
                # One frame for all pairs, so one pair of weights does.
                found = _centred(_framed(small_whole, _frames(1, frame), _COARSE_SIDE)) - target
                left_P = np.sqrt(np.square(found).mean(axis=(1, 2, 3)))
                better = left_P < best_P
                best_P[better] = left_P[better]
                frame_P4[better] = frame
    return frame_P4, best_P


def _adjusted(whole_P3HW: Floats, part_P3HW: Floats, frame_P4: Frames, side: int, rounds: int = 3) -> Frames:
    """The frame whose edges were moved until the sum of squares no longer falls (Levenberg-Marquardt)."""
    count = len(whole_P3HW)
    target = _centred(_framed(part_P3HW, _frames(count, _WHOLE), side))

    def left_over(frames: Frames) -> Floats:
        return (_centred(_framed(whole_P3HW, frames, side)) - target).reshape(count, -1)

    frame_P4 = frame_P4.copy()
    left_PD = left_over(frame_P4)
    best_P = np.square(left_PD).sum(axis=1)
    damping_P = np.full(count, 1e-2)
    for _ in range(rounds):
        slopes = []
        for edge in range(4):
            nudged = frame_P4.copy()
            nudge_P = np.where(nudged[:, edge] < 0.5, 0.01, -0.01)
            nudged[:, edge] += nudge_P
            slopes.append((left_over(nudged) - left_PD) / nudge_P[:, None].astype(np.float32))
        slopes_P4D = np.stack(slopes, axis=1)
        normal_P44 = (slopes_P4D @ slopes_P4D.transpose(0, 2, 1)).astype(np.float64)
        right_P4 = np.einsum("ped,pd->pe", slopes_P4D, left_PD).astype(np.float64)
        trace_P = np.einsum("pee->p", normal_P44)
        normal_P44 += ((damping_P * trace_P + 1e-3)[:, None, None]) * np.eye(4)
        step_P4 = -np.linalg.solve(normal_P44, right_P4[:, :, None])[:, :, 0]
        tried_P4 = frame_P4 + np.clip(step_P4, -0.06, 0.06)
        tried_P4[:, :2] = np.clip(tried_P4[:, :2], 0.0, _MOST_CUT)
        tried_P4[:, 2:] = np.clip(tried_P4[:, 2:], 1.0 - _MOST_CUT, 1.0)
        tried_PD = left_over(tried_P4)
        found_P = np.square(tried_PD).sum(axis=1)
        better = found_P < best_P
        frame_P4[better], left_PD[better], best_P[better] = tried_P4[better], tried_PD[better], found_P[better]
        damping_P = np.where(better, 0.3 * damping_P, 4.0 * damping_P)
    return frame_P4


def _frames(count: int, frame: tuple[float, float, float, float]) -> Frames:
    """One frame for every pair: left, top, right, bottom as shares of the picture. Shape: (P, 4)."""
    return np.tile(np.array(frame), (count, 1))


def _halved(picture_P3HW: Floats) -> Floats:
    """Half of each side, by the mean of four pixels."""
    high, wide = (size // 2 * 2 for size in picture_P3HW.shape[2:])
    even = picture_P3HW[:, :, :high, :wide]
    four = even[:, :, ::2, ::2] + even[:, :, 1::2, ::2] + even[:, :, ::2, 1::2] + even[:, :, 1::2, 1::2]
    return np.asarray(four / 4, np.float32)


def _framed(picture_P3HW: Floats, frame_P4: Frames, side: int) -> Floats:
    """What lies in the frame, scaled to a square; one frame serves all pictures, or each has its own. (P, 3, S, S)."""
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


def _centred(picture_P3SS: Floats) -> Floats:
    """Each colour less its mean: brighter all over is no difference."""
    return np.asarray(picture_P3SS - picture_P3SS.mean(axis=(2, 3), keepdims=True), np.float32)


def _blurred(picture_P3SS: Floats) -> Floats:
    """Each pixel the mean of those around it."""
    half = _BLUR // 2
    padded = np.pad(picture_P3SS, ((0, 0), (0, 0), (half, half), (half, half)), mode="edge")
    side = picture_P3SS.shape[2]
    across = np.stack([padded[:, :, :, shift : shift + side] for shift in range(_BLUR)]).sum(axis=0)
    around = np.stack([across[:, :, shift : shift + side] for shift in range(_BLUR)]).sum(axis=0)
    return np.asarray(around / _BLUR**2, np.float32)
