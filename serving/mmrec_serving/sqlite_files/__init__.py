"""What the stores of this service in SQLite files have in common: the file, its one writer, and its failures.

In: a `StoreKind`, such as that of the catalogue changes, and a folder. Out: connections to an undamaged file of that
kind, and transactions that wait for the disk. Knows nothing about what is stored.
"""

from __future__ import annotations

from mmrec_serving.sqlite_files.failpoints import Failpoint as Failpoint
from mmrec_serving.sqlite_files.failpoints import no_failpoint as no_failpoint
from mmrec_serving.sqlite_files.failures import explained as explained
from mmrec_serving.sqlite_files.failures import in_words as in_words
from mmrec_serving.sqlite_files.reader_pool import ReaderPool as ReaderPool
from mmrec_serving.sqlite_files.store_file import StoreFile as StoreFile
from mmrec_serving.sqlite_files.store_file import StoreFolder as StoreFolder
from mmrec_serving.sqlite_files.store_kind import StoreKind as StoreKind
from mmrec_serving.sqlite_files.store_writer import StoreWriter as StoreWriter

__all__ = [
    "Failpoint",
    "ReaderPool",
    "StoreFile",
    "StoreFolder",
    "StoreKind",
    "StoreWriter",
    "explained",
    "in_words",
    "no_failpoint",
]
