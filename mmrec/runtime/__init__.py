"""Shared parts of long jobs: device choice, process group, training loop, checkpoints, progress, shutdown, disk errors.

In: the operating system and torch. Out: plain values and errors of `mmrec.errors`.
"""
