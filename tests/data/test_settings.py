from __future__ import annotations

from pathlib import Path

import pytest

from mmrec.data.settings import DatasetSettings, EventSettings, WordSettings, read_settings
from mmrec.errors import InvalidDatasetError


def _written(folder: Path, text: str) -> Path:
    (folder / "dataset.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_folder_without_the_file_has_the_defaults(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == DatasetSettings()
    assert read_settings(tmp_path).events == EventSettings(ignore_types=None, min_rating=None, max_left_out=0.1)


def test_all_that_can_be_said(tmp_path: Path) -> None:
    root = _written(
        tmp_path,
        '[columns]\nprice = "number-comma"\n"delivered on" = "date-dmy"\n\n'
        '[words]\nleave_out = ["note"]\n\n'
        '[events]\nignore_types = ["Return"]\nmin_rating = 3\nmax_left_out = 0.25\n',
    )
    assert read_settings(root) == DatasetSettings(
        columns={"price": "number-comma", "delivered on": "date-dmy"},
        words=WordSettings(leave_out=("note",)),
        events=EventSettings(ignore_types=("Return",), min_rating=3.0, max_left_out=0.25),
    )


def test_a_template(tmp_path: Path) -> None:
    root = _written(tmp_path, '\ufeff[words]\ntemplate = "{title} by {brand}"\n')
    assert read_settings(root).words == WordSettings(template="{title} by {brand}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[columns\n", "is not TOML"),
        ('[column]\nprice = "number"\n', "it holds 'column'; what it may hold is columns, words, events"),
        ('[columns]\nprice = "money"\n', "price is 'money'; a column is read as one of text, list, boolean, number"),
        ("[columns]\nprice = 3\n", "columns.price is 3; it must be text in quotes"),
        ("columns = 3\n", r"columns is 3; it must be a table, as in \[columns\]"),
        ("[events]\nmin_stars = 3\n", r"\[events\] holds 'min_stars'; what it may hold is ignore_types, min_rating"),
        ("[events]\nmax_left_out = 10\n", "max_left_out is 10; it is a share of the rows"),
        ("[events]\nmin_rating = true\n", "events.min_rating is True; it must be a number"),
        ('[events]\nignore_types = "return"\n', "events.ignore_types is 'return'; it must be a list of texts"),
        ('[words]\ntemplate = "{title}"\nleave_out = ["note"]\n', "give one or the other"),
    ],
)
def test_what_is_not_among_the_settings_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidDatasetError, match=message):
        read_settings(_written(tmp_path, text))
