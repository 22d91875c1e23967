import numpy as np

from mmrec.channels.lexical import LexicalConfig, build_lexical_index
from mmrec.channels.lsa_projection import fit_lsa_projection
from mmrec.channels.transitions import TransitionConfig, count_transitions
from mmrec.data.interactions import Interactions
from mmrec.generator.config import GeneratorConfig
from mmrec.training.item_inputs import build_item_table

TEXTS = ["red boots", "red shoes", "blue shirt", "", "blue trousers"]
FUSED = np.eye(5, 4, dtype=np.float32)
FUSED[3] = [0.0, 0.8, 0.6, 0.0]
TRAIN = Interactions(("u", "v"), np.array([0, 3, 5]), np.array([0, 1, 2, 0, 1], np.int32), np.arange(5))


def table(**config: object):  # type: ignore[no-untyped-def]
    popularity = np.bincount(TRAIN.items_E, minlength=5).astype(np.float32)
    channel = TransitionConfig()
    lexical = build_lexical_index(TEXTS, LexicalConfig())
    settings = GeneratorConfig(**({"sketch": 2, "followers": 1, "alike": 2} | config))  # type: ignore[arg-type]
    return build_item_table(
        FUSED,
        np.array([[row, 0] for row in range(5)], np.int32),
        popularity,
        count_transitions(TRAIN, 5, channel),
        channel,
        lexical,
        fit_lsa_projection(lexical.rows, settings.sketch, seed=0),
        settings,
    )


def test_content_is_the_fused_embedding_and_the_sketch() -> None:
    made = table()
    assert made.content_NC.shape == (5, 6)
    assert np.array_equal(made.content_NC[:, :4].numpy(), FUSED)
    assert made.warm_N.tolist() == [True, True, True, False, False]


def test_followers_are_what_training_histories_hold_and_unseen_items_have_none() -> None:
    made = table().followers
    assert made.rows_NK[0].tolist() == [1]
    assert made.weights_NK[3:].tolist() == [[0.0], [0.0]]


def test_items_are_alike_by_words_and_those_without_words_by_their_fused_embedding() -> None:
    made = table().alike
    # An unseen item borrows from the warm item that shares a word, and lends to none.
    assert made.rows_NK[4, 0] == 2
    assert made.weights_NK[4].tolist() == [1.0, 0.0]
    assert 4 not in made.rows_NK[2][made.weights_NK[2] > 0].tolist()
    assert made.rows_NK[3].tolist() == [1, 2]


def test_what_is_not_wanted_is_not_there() -> None:
    made = table(sketch=0, followers=0, alike=0)
    assert made.content_NC.shape == (5, 4)
    assert made.followers is None
    assert made.alike is None
