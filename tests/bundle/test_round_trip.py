from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmrec.bundle import BundleWriter, open_bundle, prune_versions
from mmrec.contract.items import Versions
from mmrec.errors import BundleError, FailedPreconditionError, InvalidArgumentError, NotFoundError

from .conftest import write_bundle

GOLDEN = Path(__file__).parent / "golden" / "v1"


def test_what_is_written_is_read_back(root: Path) -> None:
    bundle = open_bundle(root)
    assert bundle.read_json("metrics.json") == {"ndcg@10": 0.5}
    np.testing.assert_array_equal(bundle.read_tensors("fused.safetensors")["fused_ND"], np.ones((2, 3), np.float32))
    assert bundle.read_table("catalogue.parquet").to_pydict() == {"item_id": ["007", "8"], "mark": [1, 1]}
    assert bundle.read_text("model/card.md") == "# Tiny, mark 1\n"
    assert bundle.manifest.name == "tiny"
    assert bundle.manifest.preset == "embedded"
    assert bundle.manifest.format == 1
    assert bundle.manifest.versions == Versions("m1", "c1", "b1")
    assert bundle.manifest.parameters == {"mark": 1, "levels": [3, 256]}
    assert sorted(bundle.manifest.files) == [
        "catalogue.parquet",
        "fused.safetensors",
        "metrics.json",
        "model/card.md",
    ]


def test_a_version_folder_opens_by_itself_and_under_another_name(root: Path, tmp_path: Path) -> None:
    folder = open_bundle(root).folder
    assert open_bundle(folder).read_json("metrics.json") == {"ndcg@10": 0.5}
    moved = folder.rename(tmp_path / "model-on-another-machine")
    assert open_bundle(moved).version == folder.name


def test_a_bundle_of_format_1_made_long_ago_still_opens() -> None:
    bundle = open_bundle(GOLDEN)
    assert bundle.version == "20260131T093000Z-207b7fb3be13"
    assert bundle.manifest.created == "2026-01-31T09:30:00+00:00"
    assert bundle.manifest.versions == Versions("m1", "c1", "b1")
    assert bundle.read_table("catalogue.parquet").to_pydict() == {"item_id": ["007", "8"], "mark": [1, 1]}
    np.testing.assert_array_equal(bundle.read_tensors("fused.safetensors")["fused_ND"], np.ones((2, 3), np.float32))
    assert bundle.read_json("metrics.json") == {"ndcg@10": 0.5}
    assert bundle.read_text("model/card.md") == "# Tiny, mark 1\n"


def test_publishing_again_swaps_current_and_leaves_the_open_version_alone(root: Path) -> None:
    old = open_bundle(root)
    new_folder = write_bundle(root, mark=2)
    assert (root / "CURRENT").read_text() == f"{new_folder.name}\n"
    assert open_bundle(root).read_json("metrics.json") == {"ndcg@10": 1.0}
    assert old.read_json("metrics.json") == {"ndcg@10": 0.5}
    assert open_bundle(old.folder).version == old.version


def test_the_same_content_published_twice_at_once_gets_two_versions(root: Path) -> None:
    first = open_bundle(root).version
    second = write_bundle(root, mark=1).name
    assert first != second
    assert first[-12:] == second[-12:]
    assert open_bundle(root).version == second


def test_leaving_the_block_without_commit_publishes_nothing(root: Path) -> None:
    before = open_bundle(root).version
    with BundleWriter(root, preset="embedded", name="tiny") as writer:
        writer.write_text("a.txt", "a")
    assert open_bundle(root).version == before
    assert sorted(p.name for p in root.iterdir()) == [".mmrec-lock", "CURRENT", "versions"]


def test_an_error_inside_the_block_publishes_nothing_and_gives_the_root_back(root: Path) -> None:
    before = open_bundle(root).version

    def fail() -> None:
        with BundleWriter(root, preset="p", name="n") as writer:
            writer.write_text("a.txt", "a")
            raise RuntimeError("training fell over")

    with pytest.raises(RuntimeError, match="training fell over"):
        fail()
    assert open_bundle(root).version == before
    write_bundle(root, mark=2)


@pytest.mark.parametrize(
    "name",
    [
        "../a",
        "/etc/passwd",
        "a/../b",
        "",
        ".",
        "a//b",
        "./a",
        "a/",
        "a\\b",
        "a\nb",
        "a\0b",
        "manifest.json",
        "..",
    ],
)
def test_a_name_that_leaves_the_folder_or_is_not_plain_is_refused(tmp_path: Path, name: str) -> None:
    with (
        BundleWriter(tmp_path / "b", preset="p", name="n") as writer,
        pytest.raises(InvalidArgumentError, match="name"),
    ):
        writer.path(name)


def test_numbers_of_every_kind_and_shape_come_back_as_they_were(tmp_path: Path) -> None:
    tensors = {
        "scalar": np.array(1.5),
        "empty": np.zeros((0, 4), np.int32),
        "transposed": np.arange(6, dtype=np.int64).reshape(2, 3).T,
        "half": np.array([1, 2], np.float16),
        "bool": np.array([True, False]),
    }
    with BundleWriter(tmp_path, preset="p", name="n") as writer:
        writer.write_tensors("t.safetensors", tensors)
        writer.commit(versions=Versions(), parameters={})
    back = open_bundle(tmp_path).read_tensors("t.safetensors")
    assert {k: (v.shape, v.dtype) for k, v in back.items()} == {k: (v.shape, v.dtype) for k, v in tensors.items()}
    for name, array in tensors.items():
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize("value", [float("nan"), {"array": np.ones(2)}, {1: "a key that is no string"}, {"s": {1, 2}}])
def test_parameters_that_json_does_not_have_are_refused_and_nothing_is_published(tmp_path: Path, value: object) -> None:
    with BundleWriter(tmp_path, preset="p", name="n") as writer:
        writer.write_text("a.txt", "a")
        with pytest.raises(InvalidArgumentError, match="JSON"):
            writer.commit(versions=Versions(), parameters={"value": value})
    assert not (tmp_path / "CURRENT").exists()


def test_things_that_cannot_be_stored_are_refused_by_name(tmp_path: Path) -> None:
    with BundleWriter(tmp_path, preset="p", name="n") as writer:
        with pytest.raises(InvalidArgumentError, match=r"metrics\.json"):
            writer.write_json("metrics.json", {"x": float("nan")})
        with pytest.raises(InvalidArgumentError, match=r"t\.safetensors"):
            writer.write_tensors("t.safetensors", {"words": np.array(["a", None], dtype=object)})
        with pytest.raises(InvalidArgumentError, match="nothing was written"):
            writer.commit(versions=Versions(), parameters={})


def test_a_link_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "b", preset="p", name="n") as writer:
        writer.path("weights").symlink_to("/etc/hostname")
        with pytest.raises(InvalidArgumentError, match="weights"):
            writer.commit(versions=Versions(), parameters={})


def test_writing_outside_the_block_or_after_commit_is_refused(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path, preset="p", name="n")
    with pytest.raises(FailedPreconditionError, match="with block"):
        writer.path("a.txt")
    with writer:
        writer.write_text("a.txt", "a")
        writer.commit(versions=Versions(), parameters={})
        with pytest.raises(FailedPreconditionError, match="before commit"):
            writer.write_text("b.txt", "b")
        with pytest.raises(FailedPreconditionError, match="once"):
            writer.commit(versions=Versions(), parameters={})


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with (
        pytest.raises(FailedPreconditionError, match="taken"),
        BundleWriter(tmp_path / "taken", preset="p", name="n"),
    ):
        pass
    assert (tmp_path / "taken").read_text() == "mine"


def test_no_folder_at_all_and_a_folder_without_a_bundle_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no bundle folder"):
        open_bundle(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="holds no published bundle"):
        open_bundle(tmp_path)


def test_asking_for_a_file_that_is_not_listed(root: Path) -> None:
    with pytest.raises(BundleError, match=r"no file 'graph\.parquet'; it has catalogue\.parquet"):
        open_bundle(root).path("graph.parquet")


def test_a_sound_file_read_as_the_wrong_kind(root: Path) -> None:
    bundle = open_bundle(root)
    with pytest.raises(BundleError, match=r"card\.md is not a readable Parquet"):
        bundle.read_table("model/card.md")
    with pytest.raises(BundleError, match=r"card\.md is not a readable safetensors"):
        bundle.read_tensors("model/card.md")
    with pytest.raises(BundleError, match=r"card\.md is not readable JSON"):
        bundle.read_json("model/card.md")
    with pytest.raises(BundleError, match=r"catalogue\.parquet cannot be read as text"):
        bundle.read_text("catalogue.parquet")


def test_pruning_keeps_the_newest_and_the_current_version(tmp_path: Path) -> None:
    versions = [write_bundle(tmp_path, mark=1).name for _ in range(4)]
    assert prune_versions(tmp_path, keep=2) == versions[:2]
    assert sorted(p.name for p in (tmp_path / "versions").iterdir()) == versions[2:]
    (tmp_path / "CURRENT").write_text(f"{versions[2]}\n")
    assert prune_versions(tmp_path, keep=1) == []
    assert open_bundle(tmp_path).version == versions[2]
    with pytest.raises(InvalidArgumentError, match="keep is 0"):
        prune_versions(tmp_path, keep=0)


def test_the_manifest_can_be_read_by_a_person_and_by_any_json_reader(root: Path) -> None:
    body = json.loads((open_bundle(root).folder / "manifest.json").read_text())
    assert body["files"]["model/card.md"]["size"] == 15
    assert body["created"].endswith("+00:00")
