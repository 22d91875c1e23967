from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from mmrec.contract.items import Modality
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.aio_conversation import AsyncConversation
from mmrec.sdk.client import Client
from mmrec.sdk.conversation import Conversation
from mmrec.sdk.engine_methods import EngineMethods
from mmrec_serving import BackgroundServer
from tests.contracts import assert_change_contract, assert_engine_contract, assert_twins
from tests.fake_engine import FakeEngine

ROOT = Path(__file__).resolve().parents[2]
KNOWN = ["item-3", "item-4", "item-9"]


def test_the_fake_engine_is_an_engine() -> None:
    assert_engine_contract(FakeEngine(), KNOWN)
    assert_change_contract(FakeEngine(), KNOWN)


def test_calls_are_the_same_in_process_and_through_both_clients_and_a_server() -> None:
    engine = FakeEngine()
    with BackgroundServer(lambda: engine) as server:
        assert_twins(engine, KNOWN, server.target)


PUBLIC = [
    "close",
    "converse",
    "delete_items",
    "delete_user",
    "duplicates",
    "embed",
    "embed_user",
    "explain",
    "from_env",
    "info",
    "items",
    "list_events",
    "list_items",
    "mismatches",
    "predict_ratings",
    "rank",
    "recommend",
    "recommend_many",
    "record_events",
    "resolve_semantic_ids",
    "search",
    "search_many",
    "semantic_ids",
    "similar",
    "similar_many",
    "stream_upserts",
    "tag",
    "upsert_items",
]


def test_both_clients_have_the_same_methods() -> None:
    for kind in (Client, AsyncClient):
        assert sorted(name for name in dir(kind) if not name.startswith("_")) == PUBLIC


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in ("converse", "from_env", "stream_upserts")])
def test_both_clients_take_the_same_arguments_and_say_the_same(name: str) -> None:
    blocking, awaited = getattr(Client, name), getattr(AsyncClient, name)
    assert inspect.signature(blocking) == inspect.signature(awaited)
    assert inspect.getdoc(blocking) == inspect.getdoc(awaited)


def test_both_clients_stream_alike() -> None:
    blocking, awaited = inspect.signature(Client.stream_upserts), inspect.signature(AsyncClient.stream_upserts)
    assert Client.stream_upserts.__doc__ == AsyncClient.stream_upserts.__doc__
    assert list(blocking.parameters) == list(awaited.parameters)
    for name, parameter in blocking.parameters.items():
        twin = awaited.parameters[name]
        assert (parameter.kind, parameter.default) == (twin.kind, twin.default)
        assert parameter.annotation == twin.annotation or name == "batches"


def test_both_clients_are_made_alike_from_the_environment() -> None:
    assert Client.from_env.__doc__ == AsyncClient.from_env.__doc__
    assert inspect.signature(Client.from_env).parameters == inspect.signature(AsyncClient.from_env).parameters


def test_conversations_are_alike() -> None:
    blocking, awaited = inspect.signature(Client.converse), inspect.signature(AsyncClient.converse)
    in_process = inspect.signature(EngineMethods.converse)
    assert Client.converse.__doc__ == AsyncClient.converse.__doc__
    assert blocking.parameters == awaited.parameters == in_process.parameters
    names = [name for name in dir(Conversation) if not name.startswith("_")]
    assert names == [name for name in dir(AsyncConversation) if not name.startswith("_")] == ["close", "pieces", "say"]


def test_the_methods_in_process_are_those_of_the_client() -> None:
    own = {"close", "converse", "from_env", "info", "recommend_many", "search_many", "similar_many", "stream_upserts"}
    for name in sorted(set(PUBLIC) - own):
        assert getattr(EngineMethods, name) is getattr(Client, name)


def test_what_the_sdk_derives_is_fresh() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "generate_sdk.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_keyword_arguments_are_the_fields_of_the_request() -> None:
    engine = FakeEngine()
    assert (
        engine.search("red shoes", vector=None, k=2, modality="words").item_ids
        == engine.search("red shoes", k=2, modality=Modality.WORDS).item_ids
    )
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        engine.recommend(colour="red")  # type: ignore[call-arg]
