"""Whether memory and descriptors grow: a leak is told from noise, peaks and saw teeth."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.endurance import held_by, run
from benchmarks.options import Options
from benchmarks.slope import slope_of

AXIS = np.linspace(0, 0.5, 1800).tolist()
SAW = 900 + np.arange(1800) % 60 + np.random.default_rng(0).normal(0, 5, 1800)


def test_noise_and_saw_teeth_are_flat() -> None:
    found = slope_of(AXIS, SAW.tolist())
    assert found.low <= found.per_unit <= found.high
    assert found.flat


def test_a_leak_below_saw_teeth_is_found_with_its_slope() -> None:
    found = slope_of(AXIS, (SAW + 100 * np.asarray(AXIS)).tolist())
    assert not found.flat
    assert found.low < 100 < found.high
    assert found.per_unit == pytest.approx(100, rel=0.2)


def test_what_fills_in_the_warm_up_is_no_leak() -> None:
    filling = np.minimum(np.arange(1800), 300)
    assert slope_of(AXIS, (SAW + filling).tolist()).flat


def test_planted_leaks_of_descriptors_and_of_memory_are_found_in_a_process(tmp_path: Path) -> None:
    leaked, held = [], []
    files = []
    try:
        for number in range(60):
            files.append(os.open(tmp_path / str(number), os.O_CREAT | os.O_RDONLY))
            # Pages of its own: an array could lie in memory that earlier tests have given back to the allocator.
            leaked.append(mmap.mmap(-1, 2**21))
            leaked[-1].write(b"\1" * 2**21)
            held.append(held_by(os.getpid()))
    finally:
        for file in files:
            os.close(file)
        for block in leaked:
            block.close()
    numbers = [float(number) for number in range(60)]
    descriptors = slope_of(numbers, [float(one.descriptors) for one in held])
    memory = slope_of(numbers, [one.mib for one in held])
    assert not descriptors.flat
    assert descriptors.per_unit == pytest.approx(1, abs=0.05)
    assert not memory.flat
    assert memory.per_unit == pytest.approx(2, abs=0.2)


def test_a_piece_that_is_none_is_refused() -> None:
    with pytest.raises(
        SystemExit, match="no piece 'soke'; there are connections, kills, engine-kills, swaps, stops, soak"
    ):
        run(Options(only=("soke",)))
