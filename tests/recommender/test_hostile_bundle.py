"""Bundles whose hashes fit and whose content was made to harm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file, save_file

from mmrec.bundle import Bundle, open_bundle
from mmrec.errors import BundleError
from mmrec.recommender.artefact import load_decode_index, read_features, read_parts, read_paths

ITEMS = 60
Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture
def bundle(demo_bundle: Path, tmp_path: Path) -> Bundle:
    """A copy of a verified bundle, whose files may be changed."""
    opened = open_bundle(demo_bundle)
    return Bundle(tmp_path, Path(shutil.copytree(opened.folder, tmp_path / "version")), opened.manifest)


def refused(bundle: Bundle, *words: str) -> None:
    with pytest.raises(BundleError) as caught:
        read_parts(bundle, torch.device("cpu"))
    for word in (*words, "fit again"):
        assert word in caught.value.message


def one(value: int) -> Change:
    """Put a value in the place of the first one."""

    def change(array: np.ndarray) -> np.ndarray:
        changed = array.copy()
        changed.flat[0] = value
        return changed

    return change


@pytest.mark.parametrize(
    ("file", "tensor", "change", "words"),
    [
        ("channels", "pairs.indices", one(2**30), "holds 1073741824; it must be 0 or more and less than 60"),
        ("channels", "wide_pairs.indices", one(-1), "holds -1; it must be 0 or more and less than 60"),
        ("channels", "lexical.indices", one(10**6), "holds 1000000; it must be 0 or more and less than"),
        ("channels", "pairs.indptr", one(5), "must rise from 0 to"),
        ("channels", "pairs.indptr", lambda array: array[::-1].copy(), "must rise from 0 to"),
        ("channels", "lexical.indptr", lambda array: array[:-1], "it must be int64 of shape (61)"),
        ("channels", "pairs.shape", lambda array: array + 1, "is a matrix of shape (61, 61); it must have 60 rows"),
        ("channels", "lexical.shape", lambda array: -array, "is a matrix of shape (-60"),
        ("channels", "pairs.data", lambda array: array.astype(np.float64), "is float64 of shape"),
        ("channels", "pairs.data", lambda array: array[1:], "is float32 of shape"),
        ("channels", "popularity", lambda array: array[:, None], "it must be float32 of shape (60)"),
        ("item_table", "followers.rows", one(ITEMS), "holds 60; it must be 0 or more and less than 60"),
        ("item_table", "alike.rows", one(-2), "holds -2; it must be 0 or more"),
        ("item_table", "alike.weights", lambda array: array[:, 1:].copy(), "'alike.weights' is float32 of shape"),
        ("tokens", "semantic_ids", one(9), "holds 9; it must be 0 or more and less than 2, the number of codes"),
        ("tokens", "semantic_ids", lambda array: array.astype(np.int64), "is int64 of shape (60, 4)"),
        ("tokens", "codebooks", lambda array: array[:2], "the tokenizer gives 2 codes"),
        ("words", "idf", lambda array: array[1:], "'idf' is float32 of shape"),
        ("words", "components", lambda array: array[1:], "'components' is float32 of shape"),
        ("embeddings", "fused", lambda array: array.astype(np.float64), "'fused' is float64 of shape (60, 256)"),
    ],
)
def test_an_array_with_an_index_out_of_range_or_of_another_shape(
    bundle: Bundle, file: str, tensor: str, change: Change, words: str
) -> None:
    path = bundle.path(f"{file}.safetensors")
    tensors = load_file(path)
    save_file(tensors | {tensor: np.ascontiguousarray(change(tensors[tensor]))}, path)
    refused(bundle, f"{file}.safetensors", words)


def test_what_was_not_changed_is_read(bundle: Bundle) -> None:
    parts = read_parts(bundle, torch.device("cpu"))
    assert (len(parts.catalogue), parts.transitions.forward.shape) == (ITEMS, (ITEMS, ITEMS))
    assert len(read_paths(bundle).semantic_ids_NP) == len(read_features(bundle).text_NT) == ITEMS


def test_an_array_that_is_missing(bundle: Bundle) -> None:
    path = bundle.path("channels.safetensors")
    tensors = load_file(path)
    del tensors["pairs.indptr"]
    save_file(tensors, path)
    refused(bundle, "channels.safetensors has no 'pairs.indptr'")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"widths": [2, 2, 2, 2**30]}, "heads.safetensors has"),
        ({"widths": [2, 2, 2, "many"]}, "it must be a list of integers from 1"),
        ({"widths": 4}, "it must be a list of integers from 1"),
        ({"generator": {"hidden": "wide"}}, "lacks a setting or has a wrong one"),
        ({"channels": []}, "lacks a setting or has a wrong one"),
    ],
)
def test_settings_that_are_something_else(bundle: Bundle, change: dict[str, Any], words: str) -> None:
    path = bundle.path("settings.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refused(bundle, words)


@pytest.mark.parametrize(
    ("items", "words"), [([[2**30]], "'items' holds 1073741824"), ([["one"]], "histories.parquet holds no histories")]
)
def test_histories_of_items_that_do_not_exist(bundle: Bundle, items: list[Any], words: str) -> None:
    table = pa.table({"user_id": ["u"], "items": items, "times": [[1]]})
    pq.write_table(table, bundle.path("histories.parquet"))
    refused(bundle, "histories.parquet", words)


def test_paths_alone_are_checked_likewise(bundle: Bundle) -> None:
    path = bundle.path("tokens.safetensors")
    tensors = load_file(path)
    tensors["semantic_ids"][3, 0] = 2**30
    save_file(tensors, path)
    with pytest.raises(BundleError, match=r"a code is out of range: the largest per level are .1073741824"):
        load_decode_index(bundle, read_paths(bundle))
