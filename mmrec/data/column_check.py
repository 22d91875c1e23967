"""Checks the columns of the items: how they are read, which of them are words, and settings that do not fit.

The unit of work is one catalogue with the settings of its folder. Knows nothing about events and pictures.
"""

# Axes: N items

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.column_report import ColumnReport, WordsExample, describe_columns, words_examples
from mmrec.data.problems import Problem, quoted
from mmrec.data.settings import SETTINGS_FILE, DatasetSettings
from mmrec.data.word_columns import find_words
from mmrec.errors import InvalidArgumentError

_NO_FLAGS = np.zeros(0, np.bool_)


class ColumnCheck(NamedTuple):
    """Result of `check_columns`.

    Attributes:
        columns: How each attribute is read.
        words: The words of three items.
        has_words_N: Which items have words. Shape: (N,), bool.
        problems: Values that do not fit the configured kind, and templates that cannot be used.
    """

    columns: tuple[ColumnReport, ...] = ()
    words: tuple[WordsExample, ...] = ()
    has_words_N: npt.NDArray[np.bool_] = _NO_FLAGS
    problems: tuple[Problem, ...] = ()


def setting_problems(settings: DatasetSettings, catalogue: Catalogue) -> Iterator[Problem]:
    """Settings that name attributes which the items do not have."""
    for part, names in (("[columns]", settings.columns), ("[words] leave_out", settings.words.leave_out)):
        for name in names:
            if name not in catalogue.attributes:
                message = (
                    f"{part} names {quoted(name)}, which is no attribute of the items; those are "
                    f"{', '.join(map(quoted, catalogue.attributes)) or 'none'}"
                )
                yield Problem(SETTINGS_FILE, 0, name, "unusable settings", message)


def check_columns(
    catalogue: Catalogue, settings: DatasetSettings, file: str, lines_N: npt.NDArray[np.int64]
) -> ColumnCheck:
    """Describe how each column is read and what text the items give.

    Args:
        catalogue: The items.
        settings: Of their folder.
        file: Name of the items table.
        lines_N: Line of each item in it. Shape: (N,), int64.
    """
    problems: list[Problem] = []
    try:
        words = find_words(catalogue, settings.words)
    except InvalidArgumentError as err:
        problems.append(Problem(SETTINGS_FILE, 0, "", "unusable settings", err.message))
        words = find_words(catalogue)
    columns = describe_columns(catalogue, words, lines_N)
    for column in columns:
        if column.misfits:
            message = (
                f"{column.name} is {column.kind} by dataset.toml, which does not fit {column.misfits:,} of its values, "
                f"the first of them {quoted(column.misfit)}; they count as missing in comparisons: correct them, or "
                "the setting"
            )
            problems.append(Problem(file, column.misfit_row, column.name, "misfit values", message, severity="warning"))
    return ColumnCheck(columns, words_examples(catalogue, words), catalogue.has_words(words), tuple(problems))
