"""The contract itself: everything has a comment and is built, generated code is fresh."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from mmrec.sdk.rpcs import SERVICES

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("common", "item", "recommendation", "system", "understanding")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[descriptor_pb2.FileDescriptorProto]:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from generate_protos import include_paths
    finally:
        sys.path.pop(0)
    out = tmp_path_factory.mktemp("protos") / "set.bin"
    sources = [str(ROOT / "protos" / "mmrec" / "v1" / f"{name}.proto") for name in NAMES]
    flags = ["protoc", *(f"-I{path}" for path in include_paths()), "--include_source_info"]
    assert protoc.main([*flags, f"--descriptor_set_out={out}", *sources]) == 0
    return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def _comments(file: descriptor_pb2.FileDescriptorProto) -> dict[str, str]:
    """Name of every message, field, oneof, enum, value, service and method, with the comment before it."""
    found = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}

    def message(path: tuple[int, ...], kind: descriptor_pb2.DescriptorProto, where: str) -> Iterator[tuple]:
        if kind.options.map_entry:
            return
        yield path, where
        for i, field in enumerate(kind.field):
            yield (*path, 2, i), f"{where}.{field.name}"
        for i, oneof in enumerate(kind.oneof_decl):
            if not oneof.name.startswith("_"):  # those of `optional` fields are protoc's own
                yield (*path, 8, i), f"{where}.{oneof.name}"
        for i, nested in enumerate(kind.nested_type):
            yield from message((*path, 3, i), nested, f"{where}.{nested.name}")

    places: list[tuple[tuple[int, ...], str]] = []
    for i, kind in enumerate(file.message_type):
        places += message((4, i), kind, kind.name)
    for i, enum in enumerate(file.enum_type):
        places.append(((5, i), enum.name))
        places += [((5, i, 2, j), f"{enum.name}.{value.name}") for j, value in enumerate(enum.value)]
    for i, service in enumerate(file.service):
        places.append(((6, i), service.name))
        places += [((6, i, 2, j), f"{service.name}.{m.name}") for j, m in enumerate(service.method)]
    return {name: " ".join(found.get(path, "").split()) for path, name in places}


def test_everything_in_the_contract_has_a_comment(files: list[descriptor_pb2.FileDescriptorProto]) -> None:
    comments = {f"{file.name}: {name}": text for file in files for name, text in _comments(file).items()}
    assert len(comments) > 200
    assert [name for name, text in comments.items() if len(text) < 8] == []


def test_everything_in_the_contract_is_built(files: list[descriptor_pb2.FileDescriptorProto]) -> None:
    words = [text for file in files for text in _comments(file).values()]
    assert [text for text in words if "UNIMPLEMENTED" in text or "not built" in text.lower()] == []


def test_the_services_are_the_ones_of_the_contract() -> None:
    assert sorted(SERVICES) == [
        "mmrec.v1.ItemService",
        "mmrec.v1.RecommendationService",
        "mmrec.v1.SystemService",
        "mmrec.v1.UnderstandingService",
    ]


def test_vectors_never_travel_as_repeated_numbers(
    files: list[descriptor_pb2.FileDescriptorProto],
) -> None:
    floats = {descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT, descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE}
    repeated = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    for file in files:
        for kind in file.message_type:
            assert [f.name for f in kind.field if f.type in floats and f.label == repeated] == []


def test_generated_code_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "generate_protos.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
