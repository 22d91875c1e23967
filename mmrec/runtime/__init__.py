"""What every long job needs of the machine: device, processes, progress, an ordered end, and errors of the disk.

In: what the operating system and torch say. Out: plain values and errors of `mmrec.errors`.
"""
