"""Instructions from a small dataset whose events are written here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.interactions import Interactions
from mmrec.data.splits import leave_one_out
from mmrec.errors import InvalidArgumentError
from mmrec.language.instruction_files import InstructionStatistics, read_examples, write_split
from mmrec.language.instruction_templates import Task, Template, read_tasks
from mmrec.language.instructions import InstructionBuilder, InstructionConfig, Part, leaks

IDS = tuple("abcdefgh")
SHOP = Catalogue(
    item_ids=IDS,
    titles=("Red mug", "Blue mug", "Jug", "Lamp", "", "Lantern", "Bowl", "Torch"),
    descriptions=("",) * 8,
    images=("",) * 8,
    attributes={"maker": ("Ada", "Ada", "Bo", "Bo", "Cy", "Cy", "Ada", "Di")},
)
TAKEN = {"u": "abcde", "v": "bgafh", "w": "dc", "x": "a"}
EVENTS = [(user, IDS.index(item)) for user, items in TAKEN.items() for item in items]
INTERACTIONS = Interactions.from_columns(
    [user for user, _ in EVENTS],
    [row for _, row in EVENTS],
    range(len(EVENTS)),
    [float(1 + place % 5) for place in range(len(EVENTS))],
)
SPLIT = leave_one_out(INTERACTIONS)
TASKS = read_tasks()


def builder(**config: object) -> InstructionBuilder:
    users = {"u": "a customer (age 24)"}
    return InstructionBuilder(SHOP, INTERACTIONS, SPLIT, InstructionConfig(**config), users)  # type: ignore[arg-type]


def only(kind: str, template: str, output: str) -> tuple[Task, ...]:
    parts = tuple(template.replace("{", "|").replace("}", "|").split("|"))
    ends = tuple(output.replace("{", "|").replace("}", "|").split("|"))
    return (Task(kind, kind, 1.0, (Template("t", True, parts, ends),)),)


def test_train_examples_are_of_training_events_by_seen_templates_in_the_weights_of_the_tasks() -> None:
    examples = list(builder(per_user=4).train(TASKS))
    training = {"u": set("abc"), "v": set("bga"), "w": set("dc"), "x": set("a")}
    assert {example.split for example in examples} == {"train"}
    for example in examples:
        assert example.seen
        assert {example.item_id, *example.history} <= training[example.user_id]
    counts = {name: sum(example.task == name for example in examples) for name in ("sequential", "ranking")}
    # u, v and w have a second training event; x has one alone.
    assert counts == {"sequential": 36, "ranking": 12}
    assert leaks(examples, SPLIT, SHOP) == []


def test_a_planted_leak_is_found() -> None:
    (example, *_) = builder().train(TASKS)
    as_target = replace(example, user_id="u", item_id="e", history=())
    in_history = replace(example, user_id="v", item_id="b", history=("a", "f"))
    of_another = replace(example, user_id="w", item_id="e", history=("f", "h"))
    in_test = replace(as_target, split="test")
    assert leaks([as_target, in_history, of_another, in_test], SPLIT, SHOP) == [as_target, in_history]


def test_evaluation_asks_for_the_held_out_events_by_a_seen_and_an_unseen_template() -> None:
    examples = [one for one in builder().evaluation(TASKS, "test") if one.task == "sequential"]
    assert [(one.user_id, one.item_id, one.history, one.seen) for one in examples] == [
        ("u", "e", tuple("abcd"), True),
        ("u", "e", tuple("abcd"), False),
        ("v", "h", tuple("bgaf"), True),
        ("v", "h", tuple("bgaf"), False),
    ]
    validation = [one for one in builder().evaluation(TASKS, "validation") if one.task == "ranking"]
    assert [(one.user_id, one.item_id) for one in validation[::2]] == [("u", "d"), ("v", "f")]


def test_slots_are_words_and_item_tokens() -> None:
    tasks = only("sequential", "{user} took {history}, that is {history_words}: next?", "{item} {item_words}")
    (example, _) = builder(max_history=2).evaluation(tasks, "test")
    assert example.input == (
        Part("a customer (age 24) took "),
        Part(item_id="c"),
        Part(item_id="d"),
        Part(", that is Jug; Lamp: next?"),
    )
    assert example.output == (Part(item_id="e"), Part(" e"))  # e has no title
    assert (example.user_id, example.item_id, example.history) == ("u", "e", ("c", "d"))


def test_a_straightforward_task_reads_no_history() -> None:
    (example, other) = builder().evaluation(only("straightforward", "For {user}:", "{item}"), "test")
    assert (example.history, example.input) == ((), (Part("For a customer (age 24):"),))
    assert other.input == (Part("For customer v:"),)


def test_a_wish_is_about_the_item_that_follows() -> None:
    behind, alone = "{history}. They say: {wish}", "{wish}"
    (example, _) = builder(max_history=1).evaluation(only("wish", behind, "{item}"), "test")
    # The next item is made by Cy, which is all that is known of it.
    assert (example.item_id, example.history, example.input[0]) == ("e", ("d",), Part(item_id="d"))
    assert example.input[1].words.startswith(". They say: ")
    assert "Cy" in example.input[1].words
    examples = list(builder(per_user=2).train(only("wish", alone, "{item}")))
    assert {one.history for one in examples} == {()}
    # Without a history, the first item of a customer is wished for as well.
    assert "x" in {one.user_id for one in examples}
    with_history = builder(per_user=2).train(only("wish", behind, "{item}"))
    assert all(one.history for one in with_history)


def test_the_right_candidate_is_among_items_that_are_not_in_the_history() -> None:
    (example, _) = builder(candidates=3).evaluation(only("ranking", "{candidates}", "{item}"), "test")
    ids = [part.item_id for part in example.input]
    assert len(ids) == len(set(ids)) == 3
    assert "e" in ids
    assert not set(ids) & set("abcd")


def test_ratings_are_those_of_the_event() -> None:
    (first, second) = builder().evaluation(only("rating", "{item}", "{rating}"), "test")
    assert (first.output, second.output) == ((Part("5"),), (Part("5"),))
    without = Interactions.from_columns([user for user, _ in EVENTS], [row for _, row in EVENTS], range(len(EVENTS)))
    made = InstructionBuilder(SHOP, without, leave_one_out(without), InstructionConfig())
    assert list(made.evaluation(only("rating", "{item}", "{rating}"), "test")) == []


def test_an_explanation_rests_on_a_value_that_is_shared_with_the_history() -> None:
    examples = list(builder().evaluation(only("explanation", "{attribute}", "{explanation}"), "validation"))
    # d shares its maker with c; f shares none with what v took before.
    assert [(one.user_id, one.input, one.output) for one in examples] == [
        ("u", (Part("maker"),), (Part('Like "Jug" from your history, it has "Bo" as its maker.'),))
    ]


def test_the_same_seed_makes_the_same_examples() -> None:
    first, again = list(builder(seed=3).train(TASKS)), list(builder(seed=3).train(TASKS))
    assert first == again
    assert first != list(builder(seed=4).train(TASKS))


def test_files_hold_the_examples_and_statistics_their_numbers(tmp_path: Path) -> None:
    examples = list(builder().evaluation(TASKS, "test"))
    # A separator of lines that JSON does not escape.
    examples[-1] = replace(examples[-1], input=(Part("mug\u2028jug"),))
    statistics = InstructionStatistics()
    write_split(tmp_path, "test", iter(examples), statistics)
    assert read_examples(tmp_path / "test.jsonl") == examples
    table = pq.read_table(tmp_path / "test.parquet")
    assert table.column("item_id").to_pylist() == [one.item_id for one in examples]
    assert table.column("input").to_pylist()[0][0].keys() == {"words", "item", "customer"}
    counted = statistics.as_json()["test"]
    assert (counted["examples"], counted["users"]) == (len(examples), 2)
    assert counted["unseen_templates"] == sum(not one.seen for one in examples)
    assert sum(counted["tasks"].values()) == len(examples)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"per_user": 0}, "per_user"), ({"max_history": 0}, "max_history"), ({"candidates": 1}, "candidates")],
)
def test_bad_settings_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        InstructionConfig(**fields)  # type: ignore[arg-type]
