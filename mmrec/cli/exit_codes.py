"""Every way a command can end, by its exit status."""

from __future__ import annotations

EXIT_CODES = {
    0: "done",
    1: "a bug in mmrec; the traceback is in the log file that the message names",
    2: "a flag, argument or request breaks a rule",
    3: "the dataset, bundle, item or file does not exist or cannot be used",
    4: "not possible yet: an extra, model weights, a device or disk space is missing, or a bundle is damaged",
    5: "the server refused, is busy, is not reachable, or was too slow",
    130: "interrupted with Ctrl-C",
    141: "the reader of the output closed the pipe",
    143: "stopped by SIGTERM; no file is half-written, and the same command resumes or starts again",
}
"""Exit statuses of every command, shown by ``mmrec --help`` and in the README."""
