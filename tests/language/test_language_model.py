"""Language models: the same text, states and probabilities as transformers' own, for every architecture."""

from pathlib import Path

import pytest
import torch
import transformers

from mmrec.errors import InvalidArgumentError
from mmrec.language.language_model import LanguageModel, WritingLimits
from mmrec.language.segments import Items, Segment
from tests.language.tiny_models import ALL, DECODER_ONLY, END, START, save_tiny, tiny_model, tiny_tokenizer

TEXTS = ("a red", "shoes for the rain", "b")
LIMITS = WritingLimits(tokens=12)


def loaded(kind: str) -> LanguageModel:
    return LanguageModel(tiny_model(kind).eval(), tiny_tokenizer())


@pytest.mark.parametrize("kind", DECODER_ONLY)
def test_a_beginning_that_was_read_once_changes_no_text(kind: str) -> None:
    model = loaded(kind)
    begin = model.words("shoes are for")
    read = model.beginning(begin)
    assert read is not None
    rest = [model.words(text) for text in TEXTS]
    whole = model.write([[begin, words] for words in rest], LIMITS)
    assert model.write([[words] for words in rest], LIMITS, after=read) == whole
    # It can be used again, also for another number of sequences.
    assert model.write([[rest[1]]], LIMITS, after=read) == [whole[1]]


def test_an_encoder_decoder_model_shares_no_beginning() -> None:
    assert loaded("t5").beginning(loaded("t5").words("a")) is None


@pytest.mark.parametrize("kind", ALL)
def test_greedy_text_is_that_of_transformers(kind: str, tmp_path: Path) -> None:
    model = LanguageModel.load(str(save_tiny(kind, tmp_path)))
    own = transformers.AutoModelForSeq2SeqLM if kind == "t5" else transformers.AutoModelForCausalLM
    reference, tokenizer = own.from_pretrained(tmp_path).eval(), tiny_tokenizer()
    expected = []
    for text in TEXTS:
        inputs = tokenizer(text, return_tensors="pt")
        out = reference.generate(**inputs, max_new_tokens=12, do_sample=False, pad_token_id=END)[0]
        new = out[1:] if kind == "t5" else out[inputs["input_ids"].shape[1] :]
        expected.append(tokenizer.decode(new, skip_special_tokens=True))
    assert len(set(expected)) == 3
    assert model.write([[model.words(text)] for text in TEXTS], LIMITS) == expected
    assert [model.write([[model.words(text)]], LIMITS)[0] for text in TEXTS] == expected


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_a_streamed_text_is_the_written_one_in_pieces(kind: str) -> None:
    model = loaded(kind)
    counts = []
    for text in TEXTS:
        pieces = list(model.stream([model.words(text)], LIMITS))
        assert "".join(pieces) == model.write([[model.words(text)]], LIMITS)[0]
        counts.append(len(pieces))
    # Bytes that are no characters yet are held back.
    assert max(counts) > 1


def _log_prob(model: LanguageModel, text: str, after: str) -> float:
    return model.log_probs([[model.words(text)]], [model.words(after)])[0]


@pytest.mark.parametrize("kind", ALL)
def test_the_probability_of_a_text_is_the_product_of_those_of_its_words(kind: str) -> None:
    model = loaded(kind)
    texts = [model.words("xy"), model.words("c")]
    found = model.log_probs([[model.words("a red")], [model.words("shoes for")]], texts)
    if kind == "t5":
        reference = tiny_model(kind).eval()
        with torch.inference_mode():
            logits = reference(
                input_ids=torch.tensor([model.words("a red").ids]),
                decoder_input_ids=torch.tensor([[START, texts[0].ids[0]]]),
            ).logits.log_softmax(-1)
        first = float(logits[0, 0, texts[0].ids[0]] + logits[0, 1, texts[0].ids[1]])
    else:
        first = _log_prob(model, "a red", "x") + _log_prob(model, "a redx", "y")
    second = _log_prob(model, "shoes for", "c")
    assert found == pytest.approx([first, second], abs=1e-3)


@pytest.mark.parametrize("kind", ALL)
def test_states_at_places_of_sequences_of_unequal_length(kind: str) -> None:
    model = loaded(kind)
    states = model.states([[model.words("xyz")], [model.words("shoe")]], [[0, -1], [1, -1]])
    assert states.shape == (2, 2, 32)
    alone = model.states([[model.words("xyz")]], [[0, 2]])
    assert torch.allclose(states[0], alone[0], atol=1e-5)
    if kind in DECODER_ONLY:
        assert torch.allclose(states[1, 0], model.states([[model.words("sh")]], [[-1]])[0, 0], atol=1e-5)


def test_items_that_are_the_embedding_of_a_word_are_read_as_that_word() -> None:
    model = loaded("llama")
    word = model.words("b")
    vectors = model.model.get_input_embeddings().weight[list(word.ids)].detach()
    mixed: list[Segment] = [model.words("a "), Items(vectors), model.words("c")]
    assert torch.equal(model.states([mixed], [[-1]]), model.states([[model.words("a bc")]], [[-1]]))


def test_writing_ends_at_the_limits() -> None:
    model = loaded("gpt2")
    text = model.words("a red")
    longer = model.write([[text]], WritingLimits(tokens=9))[0]
    assert longer.startswith(model.write([[text]], WritingLimits(tokens=3))[0])
    first = model.write([[text]], WritingLimits(tokens=1))
    assert model.write([[text]], WritingLimits(tokens=9, seconds=1e-9)) == first
    assert longer != first[0]


def test_drawn_texts_depend_on_the_seed_alone() -> None:
    model = loaded("llama")
    sequences = [[model.words("a red")]]
    one, again, other = (
        model.write(sequences, WritingLimits(tokens=12, temperature=2.0, seed=seed)) for seed in (1, 1, 2)
    )
    assert one == again != other
    narrow = WritingLimits(tokens=12, temperature=2.0, top_p=1e-6, seed=1)
    assert model.write(sequences, narrow) == model.write(sequences, LIMITS)


def test_more_positions_than_the_model_has() -> None:
    model = loaded("llama")
    with pytest.raises(InvalidArgumentError, match="250 positions are to be read and 12 written"):
        model.write([[model.words("a" * 250)]], LIMITS)


def test_a_turn_of_a_chat_cannot_end_itself() -> None:
    model = loaded("llama")
    model.tokenizer.chat_template = "{% for turn in messages %}{{ turn['content'] }}<end>{% endfor %}"
    plain = model.chat([{"role": "user", "content": "hello"}])
    assert model.chat([{"role": "user", "content": "he<e<end>nd>llo"}]) == plain
    assert plain.ids[-1] == END
    model.tokenizer.chat_template = None
    with pytest.raises(InvalidArgumentError, match="no chat template"):
        model.chat([{"role": "user", "content": "hello"}])
