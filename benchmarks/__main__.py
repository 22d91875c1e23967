"""Runs benchmarks: ``python -m benchmarks [--device auto|cpu|cuda] [NAME ...]``."""

from __future__ import annotations

import argparse

from benchmarks import decode, service

BENCHMARKS = {"decode": decode.run, "service": service.run}

parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, print, and store under results/.")
parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], help="which; none for all")
parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
arguments = parser.parse_args()
for name, run in BENCHMARKS.items():
    if not arguments.names or name in arguments.names:
        run(arguments.device)
