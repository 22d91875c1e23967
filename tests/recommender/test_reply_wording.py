"""Replies whose sentences a language model words: only checked sentences change, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from mmrec.contract.conversation import Constraint, ConversationState, ConversationTurn
from mmrec.contract.engine import Stop, never
from mmrec.contract.items import ScoredItem, Statement, StatementKind
from mmrec.contract.replies import Explanations, Recommendations
from mmrec.contract.requests import ExplainRequest, Promotion, RecommendRequest
from mmrec.errors import InvalidArgumentError, NotFoundError
from mmrec.language.wording import suggestion
from mmrec.recommender.reply_wording import ReplyWording, WordingConfig
from tests.recommender.test_explainer import SHOP, events, explained, pipeline

SPONSORED = Constraint("room", 'room = "kitchen"')


class Writer:
    """Says of each sentence what `say` makes of it; `asked` has the sentences."""

    def __init__(self, say: Callable[[str], str]) -> None:
        self.say = say
        self.asked: list[str] = []

    def reword(self, sentences: Sequence[str], stop: Stop = never) -> list[str]:
        self.asked += sentences
        return ["" if stop() else self.say(one) for one in sentences]


def truthful(sentence: str) -> str:
    """Another wording, for suggestions and for reasons in the history."""
    return sentence.replace("Suggested because of", "Because you chose").replace("I suggest", "Please try")


def liar(sentence: str) -> str:
    return f"{sentence} Everybody loves it!"


def wording(say: Callable[[str], str], **options: object) -> ReplyWording:
    return ReplyWording(Writer(say), lambda: SHOP, **options)  # type: ignore[arg-type]


def whole(reply: object, say: Callable[[str], str]) -> object:
    own = wording(say)
    assert own.applies(reply)
    (found,) = own.parts(reply)
    return found


def recommended(**options: object) -> Recommendations:
    request = RecommendRequest(("a",), k=3, explain_in_words=True, **options)  # type: ignore[arg-type]
    (reply,) = pipeline({"transitions": 1.0}).recommend_many([request], events())
    assert isinstance(reply, Recommendations)
    return reply


def turn(*ids: str, sponsored: bool = False, constraints: tuple[Constraint, ...] = ()) -> ConversationTurn:
    records = [SHOP.record(row) for row in map(SHOP.row_of, ids) if row is not None]
    text = suggestion(records, [sponsored] * len(records), constraints)
    state = ConversationState(constraints, shown_ids=ids, turns=3)
    return ConversationTurn(text, tuple(ScoredItem(record, 1.0) for record in records), state, missing_ids=("z",))


def test_an_explanation_is_worded_and_its_statements_say_so() -> None:
    plain = explained(ExplainRequest(("f", "b"), RecommendRequest(("a", "b"))))
    found = whole(plain, truthful)
    assert isinstance(found, Explanations)
    (first, second) = found.explanations
    assert first.text == (
        'Like "Blue mug" and "Red mug" from your history, it has "kitchen" as its room. '
        'Because you chose "Blue mug" in your history.'
    )
    assert [one.worded for one in first.statements] == [False, True]
    # Of the second item two sentences are told, neither of which the writer changes; the others are not asked for.
    assert not any(one.worded for one in second.statements)
    assert len(second.statements) > 2
    assert [[replace(one, text="", worded=False) for one in item.statements] for item in found.explanations] == [
        [replace(one, text="") for one in item.statements] for item in plain.explanations
    ]
    assert (found.missing_ids, found.versions) == (plain.missing_ids, plain.versions)
    assert [one.shares for one in found.explanations] == [one.shares for one in plain.explanations]


@pytest.mark.parametrize("say", [liar, lambda sentence: "", lambda sentence: "ignore the evidence"])
def test_what_the_checker_does_not_pass_stays_as_it_is(say: Callable[[str], str]) -> None:
    plain = recommended()
    assert whole(plain, say) == plain


def test_items_of_a_list_and_their_order_are_the_same_and_a_promotion_keeps_its_words() -> None:
    plain = recommended(promotions=(Promotion(("f",), boost=50.0),))
    found = whole(plain, truthful)
    assert isinstance(found, Recommendations)
    assert found.item_ids == plain.item_ids
    assert found.items[0].explanation.startswith("It is a promoted item. ")
    assert found.items[0].statements[0] == plain.items[0].statements[0]
    assert found.items[0].explanation == " ".join(one.text for one in found.items[0].statements[:2])


def test_the_model_never_sees_a_title_or_a_value() -> None:
    writer = Writer(truthful)
    list(ReplyWording(writer, lambda: SHOP).parts(recommended()))
    list(ReplyWording(writer, lambda: SHOP).parts(turn("b", "f", constraints=(SPONSORED,))))
    assert len(writer.asked) > 4
    for sentence in writer.asked:
        for name in ("mug", "Jug", "kitchen", "Ada", "tea"):
            assert name not in sentence


def test_a_turn_comes_sentence_by_sentence_and_at_last_as_a_whole() -> None:
    plain = turn("b", "f", sponsored=True, constraints=(SPONSORED,))
    assert plain.text == (
        "I suggest Blue mug (room: kitchen). It is sponsored. Or Lantern (room: kitchen). It is sponsored."
    )
    parts = list(wording(truthful).parts(plain))
    assert [(part.text, part.worded, part.done) for part in parts] == [
        ('Please try "Blue mug": its room is "kitchen". ', True, False),
        ("It is sponsored. ", False, False),
        ('Please try "Lantern": its room is "kitchen". ', True, False),
        ("It is sponsored.", False, False),
        ("", True, True),
    ]
    assert parts[-1] == replace(plain, text="", worded=True)


def test_a_false_sentence_of_a_turn_is_never_sent() -> None:
    def about_the_second(sentence: str) -> str:
        asked.append(sentence)
        return liar(sentence) if len(asked) == 2 else truthful(sentence)

    asked: list[str] = []
    parts = list(wording(about_the_second).parts(turn("b", "f")))
    assert [(part.text, part.worded) for part in parts] == [
        ('Please try "Blue mug". ', True),
        ("Or Lantern.", False),
        ("", True),
    ]


@pytest.mark.parametrize(
    "reply",
    [
        ConversationTurn("Which room: kitchen or hall?", asked_column="room"),
        ConversationTurn("Nothing in the catalogue fits all of this: room kitchen."),
        Recommendations("", ()),
        [recommended()],
        NotFoundError("no such user"),
        Explanations(()),
    ],
)
def test_questions_and_what_has_no_explanation_are_not_worded(reply: object) -> None:
    assert not wording(truthful).applies(reply)


def test_a_text_that_is_not_made_of_its_items_stays_whole() -> None:
    other = replace(turn("b"), text="I suggest something else.")
    assert [part.text for part in wording(truthful).parts(other)] == ["I suggest something else.", ""]


def test_when_the_time_is_up_the_rest_stays_plain_without_asking() -> None:
    now = [0.0]

    def slow(sentence: str) -> str:
        now[0] += 2.0
        return truthful(sentence)

    own = wording(slow, seconds=3.0, clock=lambda: now[0])
    texts = [part.text for part in own.parts(turn("b", "f", "c"))]
    assert texts == ['Please try "Blue mug". ', 'Please try "Lantern". ', "Or Jug.", ""]
    writer = Writer(truthful)
    plain = recommended()
    assert list(ReplyWording(writer, lambda: SHOP).parts(plain, lambda: True)) == [plain]
    assert writer.asked == []


def test_a_catalogue_that_changed_meanwhile_bears_out_what_is_said() -> None:
    titles = ("Green mug", *SHOP.titles[1:])
    own = ReplyWording(Writer(truthful), lambda: replace(SHOP, titles=titles))
    reply = explained(ExplainRequest(("f",), RecommendRequest(("a",))))
    assert [one.text for one in reply.explanations[0].statements][-1].startswith('Suggested because of "Red mug"')
    assert list(own.parts(reply)) == [reply]


def test_limits() -> None:
    with pytest.raises(InvalidArgumentError, match="seconds"):
        WordingConfig(seconds=0)
    with pytest.raises(InvalidArgumentError, match="tokens"):
        WordingConfig(tokens=2_000)


def test_only_statements_have_kinds_that_are_worded() -> None:
    promotion = Statement(StatementKind.PROMOTION, "It is a promoted item.")
    reply = Recommendations("", (ScoredItem(SHOP.record(0), 1.0, statements=(promotion,)),))
    assert not wording(truthful).applies(reply)
