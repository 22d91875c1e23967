"""Instructions as the generator reads them."""

from __future__ import annotations

from mmrec.catalogue.catalogue import Catalogue
from mmrec.language.instruction_codes import InstructionCodes
from mmrec.language.instructions import Example, Part

SHOP = Catalogue(("a", "b", "c"), ("Mug", "Jug", "Lamp"), ("",) * 3, ("",) * 3, {})
A, B, C = (Part(item_id=item_id) for item_id in "abc")


def ranking(*parts: Part) -> Example:
    return Example("train", "ranking", "t", True, "u", "c", ("a",), parts, (C,), ("b", "c"))


def test_an_answer_is_not_read_off_a_candidate() -> None:
    codes = InstructionCodes(SHOP)
    examples = [
        ranking(A, Part("Which of"), B, C, Part("?")),
        ranking(Part("Which of"), B, C, Part("after"), A),
        ranking(A, Part("Which of"), B, C, Part("comes next?")),
    ]
    found = [row.tolist() for row in codes.read(examples).inputs]
    assert codes.words == ["Which of", "", "after", "comes next"]
    assert found == [[0, -2, 1, 2, -3], [-2, 1, 2, -4, 0], [0, -2, 1, 2, -5]]


def test_the_tokens_of_a_pretrained_model_end_as_the_template_does() -> None:
    codes = InstructionCodes(SHOP, tokenize=lambda words: [len(words)])
    (found,) = codes.read([ranking(A, Part("Which of"), B, C, Part("?"))]).inputs
    assert found.tolist() == [0, -10, 1, 2, -3]
