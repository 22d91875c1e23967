"""What every store of catalogue changes promises, whatever keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from mmrec.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError, UnavailableError
from mmrec_serving.change_log import (
    Change,
    ChangeStore,
    Delete,
    Recorded,
    RecordedRequest,
    Sequenced,
    StoreState,
)
from tests.serving.change_log.conftest import Stores
from tests.serving.change_log.making import D1, D2, Clock, numbered, upsert


@pytest.fixture
def store(stores: Stores) -> Iterator[ChangeStore]:
    with stores.open("c1") as made:
        yield made


# --- recording and replaying --------------------------------------------------------------------------------


def test_changes_are_replayed_in_order_after_the_store_is_opened_again(stores: Stores) -> None:
    clock = Clock()
    whole = upsert("a", description="blue", image=b"\xff\xd8picture", attributes={"price": "3"})
    with stores.open("c1", clock=clock) as store:
        assert store.record("r1", D1, [whole, upsert("b")], b"one") == Recorded(1, 2)
        assert store.record("", b"", [Delete("a")], b"two") == Recorded(3, 3)
    with stores.open("c1") as store:
        assert numbered(store.replay()) == [(1, whole), (2, upsert("b")), (3, Delete("a"))]
        assert numbered(store.replay(2)) == [(3, Delete("a"))]
        assert numbered(store.replay(3)) == []
        assert [[entry.sequence for entry in batch] for batch in store.replay(batch=2)] == [[1, 2], [3]]
        assert next(store.replay())[0] == Sequenced(1, clock.now, whole)
        assert store.position() == 3
        assert store.record("r3", D1, [upsert("c")], b"") == Recorded(4, 4)


def test_a_replay_goes_on_to_what_is_recorded_meanwhile(store: ChangeStore) -> None:
    store.record("", b"", [upsert("a"), upsert("b")], b"")
    batches = store.replay(batch=1)
    assert next(batches)[0].sequence == 1
    store.record("", b"", [upsert("c")], b"")
    assert [entry.sequence for batch in batches for entry in batch] == [2, 3]


def test_a_request_may_have_no_changes_and_its_reply_is_kept(store: ChangeStore) -> None:
    assert store.record("r1", D1, [], b"nothing") == Recorded(1, 0)
    assert store.find("r1") == RecordedRequest(D1, 0, b"nothing")
    assert store.record("", b"", [], b"nothing") == Recorded(1, 0)
    assert store.position() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("r" * 129, D1, [], b""), "request_id has 129 characters; at most 128"),
        (("r", b"", [], b""), "digest is empty; pass what stands for the request"),
        (("r", bytes(65), [], b""), "digest has 65 bytes; at most 64"),
        (("r", D1, "ab", b""), "changes is the single string"),
        (("r", D1, [], "reply"), "reply is a str"),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused(
    store: ChangeStore, arguments: tuple[str, bytes, list[Change], bytes], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        store.record(*arguments)  # type: ignore[arg-type]
    assert store.position() == 0


def test_numbers_out_of_range_are_refused(store: ChangeStore) -> None:
    with pytest.raises(InvalidArgumentError, match="after is -1"):
        store.replay(-1)
    with pytest.raises(InvalidArgumentError, match="batch is 0; it must be from 1"):
        store.replay(batch=0)
    with pytest.raises(InvalidArgumentError, match="upto is -1"):
        store.compact(-1)


# --- request ids --------------------------------------------------------------------------------------------


def test_a_request_is_found_by_its_id_and_not_recorded_again(stores: Stores) -> None:
    for expected in (Recorded(1, 1), None, None):
        with stores.open("c1", clock=Clock()) as store:
            if expected is not None:
                assert store.find("r1") is None
                assert store.record("r1", D1, [upsert("a")], b"first") == expected
            for digest in (D1, D2):
                message = "request_id 'r1' was recorded at 2026-01-01 00:00:00 UTC; give every request an id of its"
                with pytest.raises(FailedPreconditionError, match=message):
                    store.record("r1", digest, [upsert("a")], b"second")
            assert store.find("r1") == RecordedRequest(D1, 1, b"first")
            assert store.position() == 1


def test_without_an_id_the_same_is_done_again(store: ChangeStore) -> None:
    assert store.record("", D1, [upsert("a")], b"").last == 1
    assert store.record("", D1, [upsert("a")], b"").last == 2
    assert store.find("") is None


def test_an_id_protects_for_a_day_and_may_then_be_used_again(stores: Stores) -> None:
    clock = Clock()
    with stores.open("c1", clock=clock) as store:
        store.record("r1", D1, [upsert("a")], b"first")
        clock.now += timedelta(hours=24)
        assert store.forget(clock.now + timedelta(days=9)) == 0  # it protects still
        assert store.find("r1") == RecordedRequest(D1, 1, b"first")
        clock.now += timedelta(microseconds=1)
        assert store.find("r1") is None
        assert store.record("r1", D2, [upsert("a")], b"second") == Recorded(2, 2)
        clock.now += timedelta(hours=25)
        store.record("r2", D1, [upsert("a")], b"")
        assert store.forget(clock.now) == 1
        assert store.find("r2") is not None
        with pytest.raises(InvalidArgumentError, match="has no time zone"):
            store.forget(datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None))


# --- folding ------------------------------------------------------------------------------------------------


def test_compacting_keeps_an_items_last_change_and_every_delete(store: ChangeStore) -> None:
    store.record("", b"", [upsert("a"), upsert("b", description="blue"), upsert("c")], b"")
    store.record("", b"", [upsert("a", "cup"), upsert("b", "pan", ("title",))], b"")
    store.record("", b"", [Delete("c")], b"")
    store.record("", b"", [upsert("a", "pot")], b"")
    assert store.compact(6) == 3
    assert numbered(store.replay()) == [
        (4, upsert("a", "cup")),
        (5, upsert("b", "pan", description="blue")),
        (6, Delete("c")),
        (7, upsert("a", "pot")),
    ]
    assert store.compact(6) == 0
    assert store.compact(2**62) == 1
    assert [number for number, _ in numbered(store.replay())] == [5, 6, 7]


def test_compacting_goes_through_more_items_than_one_slice(store: ChangeStore) -> None:
    for _ in range(2):
        store.record("", b"", [upsert(f"i{number}") for number in range(450)], b"")
    assert store.compact(900) == 450
    assert [number for number, _ in numbered(store.replay())] == list(range(451, 901))


def test_dropping_waits_for_a_base_that_holds_the_changes_and_numbers_go_on(stores: Stores) -> None:
    with stores.open("c1") as store:
        store.record("", b"", [upsert("a"), upsert("b")], b"")
        store.record("", b"", [Delete("a")], b"")
        with pytest.raises(FailedPreconditionError, match="upto is 2, and the catalogue 'c1' holds changes up to 0"):
            store.drop_folded(2)
        store.rebase("c2", 3)
        assert store.state() == StoreState("c2", position=3, folded=3, previous="c1")
        assert numbered(store.replay()) == []
        assert store.drop_folded(3) == 3
        assert store.drop_folded(3) == 0
    with stores.open("c2") as store:
        assert store.state() == StoreState("c2", position=3, folded=3, dropped=3)
        assert store.record("", b"", [upsert("c")], b"").first == 4
        assert numbered(store.replay()) == [(4, upsert("c"))]


def test_a_store_of_another_base_is_refused_with_what_to_do_and_nothing_is_lost(stores: Stores) -> None:
    with stores.open("c1") as store:
        store.record("", b"", [upsert("a")], b"")
    message = r"has changes to the catalogue 'c1', up to number 1, and is opened for 'c2'.*new store.*rebase\("
    with pytest.raises(FailedPreconditionError, match=message):
        stores.open("c2")
    with pytest.raises(FailedPreconditionError, match=message):
        stores.read("c2")
    with stores.open("c1") as store:
        store.rebase("c2", 0)
    with stores.open("c2") as store:
        assert numbered(store.replay()) == [(1, upsert("a"))]


def test_a_base_that_was_announced_takes_over_when_it_is_opened(stores: Stores) -> None:
    with stores.open("c1") as store:
        store.record("", b"", [upsert("a"), upsert("b")], b"")
        store.announce("c2", 1)
        assert numbered(store.replay()) == [(1, upsert("a")), (2, upsert("b"))]
    with stores.read("c2") as reader:  # published; the writer has not come that far
        assert numbered(reader.replay()) == [(2, upsert("b"))]
    with stores.open("c1") as store:
        assert store.state() == StoreState("c1", 2, successor="c2", successor_holds=1)
    with stores.open("c2") as store:
        assert store.state() == StoreState("c2", 2, folded=1, previous="c1")
        assert numbered(store.replay()) == [(2, upsert("b"))]


def test_a_base_may_be_gone_back_to_until_something_is_dropped(store: ChangeStore) -> None:
    store.record("", b"", [upsert("a"), upsert("b")], b"")
    store.rebase("c2", 2)
    store.rebase("c1", 0)
    assert len(numbered(store.replay())) == 2
    store.rebase("c2", 2)
    store.drop_folded(1)
    with pytest.raises(InvalidArgumentError, match=r"upto is 0; .* from 1 \(the last that was dropped\) to 2"):
        store.rebase("c1", 0)


def test_the_base_of_before_is_known_until_something_that_it_lacks_is_dropped(stores: Stores) -> None:
    with stores.open("c1") as store:
        store.record("", b"", [upsert("a"), upsert("b"), upsert("c")], b"")
        store.rebase("c2", 2)
        assert (store.state().previous, store.state().previous_holds, store.state().needless) == ("c1", 0, 0)
        store.rebase("c3", 3)
        assert store.state() == StoreState("c3", 3, folded=3, previous="c2", previous_holds=2)
        store.drop_folded(store.state().needless)
    with stores.open("c3") as store:
        assert store.state() == StoreState("c3", 3, folded=3, dropped=2, previous="c2", previous_holds=2)
        store.rebase("c2", 2)
        assert numbered(store.replay()) == [(3, upsert("c"))]
        assert store.state() == StoreState("c2", 3, folded=2, dropped=2, previous="c3", previous_holds=3)
        store.rebase("c3", 3)
        store.drop_folded(3)
        assert store.state() == StoreState("c3", 3, folded=3, dropped=3)


def test_what_no_base_can_hold_is_refused(store: ChangeStore) -> None:
    store.record("", b"", [upsert("a")], b"")
    with pytest.raises(InvalidArgumentError, match=r"upto is 2; .* to 1 \(the last there is\)"):
        store.rebase("c2", 2)
    with pytest.raises(InvalidArgumentError, match="new_base is empty"):
        store.rebase("", 1)
    with pytest.raises(InvalidArgumentError, match="new_base is 'c1', the base already, which holds changes up to 0"):
        store.rebase("c1", 1)
    with pytest.raises(InvalidArgumentError, match="new_base is 'c1', which is the base already"):
        store.announce("c1", 0)
    store.rebase("c1", 0)
    assert store.state() == StoreState("c1", 1)


# --- readers ------------------------------------------------------------------------------------------------


def test_a_reader_of_the_base_of_before_goes_on_until_it_would_miss_something(
    store: ChangeStore, stores: Stores
) -> None:
    store.record("", b"", [upsert("a"), upsert("b"), upsert("c")], b"")
    with stores.read("c1") as reader:
        batches = reader.replay(batch=1)
        assert numbered([next(batches)]) == [(1, upsert("a"))]
        store.rebase("c2", 3)
        assert numbered([next(batches)]) == [(2, upsert("b"))]
        store.drop_folded(3)
        with pytest.raises(
            FailedPreconditionError, match=r"changes 3 to 3 .* were dropped, because the catalogue 'c2' holds them"
        ):
            next(batches)
        store.record("", b"", [upsert("d")], b"")
        assert numbered(reader.replay(3)) == [(4, upsert("d"))]


def test_a_reader_reads_after_the_writer_has_gone_and_finds_none_where_none_was(stores: Stores) -> None:
    with pytest.raises(NotFoundError, match="there is no store of catalogue changes"):
        stores.read()
    with stores.open("c1") as store:
        store.record("", b"", [upsert("a")], b"")
    with stores.read() as reader, stores.read("c1") as other:
        assert numbered(reader.replay()) == numbered(other.replay()) == [(1, upsert("a"))]


def test_what_is_closed_says_so(stores: Stores) -> None:
    store = stores.open("c1")
    store.close()
    store.close()
    for call in (store.position, lambda: store.record("", b"", [], b""), lambda: store.compact(1)):
        with pytest.raises(UnavailableError, match="is closed"):
            call()


# --- threads ------------------------------------------------------------------------------------------------


def test_many_threads_record_and_read_and_every_change_has_a_number_of_its_own(store: ChangeStore) -> None:
    def work(thread: int) -> list[Recorded]:
        done = []
        for number in range(12):
            name = f"{thread}-{number}"
            changes: Sequence[Change] = [upsert(name), upsert("shared", name)]
            done.append(store.record(name, name.encode(), changes, name.encode()))
            # What was recorded is there for whoever reads from then on.
            assert numbered(store.replay(done[-1].first - 1))[0] == (done[-1].first, upsert(name))
            if number == 6:
                store.compact(done[-1].last)
        return done

    with ThreadPoolExecutor(8) as pool:
        results = [recorded for done in pool.map(work, range(8)) for recorded in done]
    assert sorted(recorded.first for recorded in results) == list(range(1, 193, 2))
    assert all(recorded.last == recorded.first + 1 for recorded in results)
    assert store.position() == 192
    assert store.compact(192) > 0
    assert len(numbered(store.replay())) == 97


def test_of_the_same_request_sent_by_many_threads_at_once_one_is_recorded(store: ChangeStore) -> None:
    def work(thread: int) -> bool:
        try:
            return store.record("r1", D1, [upsert("a")], b"%d" % thread) == Recorded(1, 1)
        except FailedPreconditionError:
            return False

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(work, range(8)))
    assert sorted(done) == [False] * 7 + [True]
    assert store.find("r1") == RecordedRequest(D1, 1, b"%d" % done.index(True))
    assert store.position() == 1


# --- partial updates ----------------------------------------------------------------------------------------


def test_a_change_that_is_based_on_what_an_item_was_is_refused_when_it_has_changed(store: ChangeStore) -> None:
    store.record("", b"", [upsert("a"), upsert("b")], b"")
    assert store.record("r1", D1, [upsert("a", "cup", ("title",))], b"", based_on=2) == Recorded(3, 3)
    with pytest.raises(UnavailableError, match=r"item 'a' was changed at the same time, .* send the same") as caught:
        store.record("r2", D1, [upsert("b", "pan", ("title",)), upsert("a", "pot", ("title",))], b"", based_on=2)
    assert caught.value.retry_after_s == 0.1
    assert (store.position(), store.find("r2")) == (3, None)
    assert store.record("r2", D1, [upsert("b", "pan", ("title",))], b"", based_on=2) == Recorded(4, 4)


def test_every_character_comes_back(store: ChangeStore) -> None:
    strange = upsert("a\u2028b", "nul \x00 Häferl 漢 \U0001f375", attributes={"x\x00": "\x00"}, encoder_version="e\x00")
    store.record("r\x00", D1, [strange, Delete("gone\x00")], b"\x00")
    assert numbered(store.replay()) == [(1, strange), (2, Delete("gone\x00"))]
    assert store.find("r\x00") == RecordedRequest(D1, 2, b"\x00")
