import numpy as np
import pytest

from mmrec.channels.blend import Blend, BlendConfig, BlendSample, fit_blend
from mmrec.errors import InvalidArgumentError


def sample(seed: int = 0) -> BlendSample:
    """The answer (column 0) leads in the first channel; the second is noise, the third points away from it."""
    rng = np.random.default_rng(seed)
    questions = []
    for _ in range(400):
        features = rng.normal(size=(4, 20))
        features[0, 0] += 2.0
        features[2, 0] -= 2.0
        features[3] = 7.0
        questions.append(features)
    return BlendSample(questions, ("good", "noise", "contrary", "constant"))


def hidden_answers() -> BlendSample:
    """Of three questions, two have answers that no channel knows of: nothing tells them from what is last."""
    rng = np.random.default_rng(1)
    questions = []
    for number in range(300):
        features = np.zeros((2, 40))
        features[:, 1:] = rng.uniform(0.1, 1.0, size=(2, 39))
        if number % 3 == 0:
            features[:, 0] = [0.95, 0.5]
        questions.append(features)
    return BlendSample(questions, ("good", "noise"))


def far_off_answers() -> BlendSample:
    """A good channel that is far off now and then, for which the likelihood punishes it and a list does not."""
    rng = np.random.default_rng(2)
    questions = []
    for number in range(300):
        features = rng.normal(size=(2, 40))
        features[0, 0] += -12.0 if number % 10 == 0 else 2.0
        features[1, 0] += 0.5
        questions.append(features)
    return BlendSample(questions, ("good", "fair"))


def ndcg_of(weights: dict[str, float], questions: BlendSample) -> float:
    gains = []
    for features in questions.features:
        scores = np.array([weights[name] for name in questions.names]) @ features
        place = int((scores[1:] >= scores[0]).sum())
        gains.append(1 / np.log2(place + 2) if place < 10 else 0.0)
    return float(np.mean(gains))


def test_a_channel_that_knows_gets_the_weight() -> None:
    weights = fit_blend(sample(), BlendConfig(rounds=0)).weights
    assert weights["good"] == pytest.approx(2.0, rel=0.15)
    assert weights["noise"] < 0.15


def test_answers_that_no_channel_reaches_do_not_pull_the_weights_down() -> None:
    weights = fit_blend(hidden_answers(), BlendConfig(rounds=0, reach=5)).weights
    assert weights["good"] > 5
    assert fit_blend(hidden_answers(), BlendConfig(rounds=0, reach=40)).weights["good"] < 5


def test_the_search_never_ends_below_where_it_began() -> None:
    for questions in (sample(), hidden_answers(), far_off_answers()):
        begun = ndcg_of(dict(fit_blend(questions, BlendConfig(rounds=0)).weights), questions)
        ended = ndcg_of(dict(fit_blend(questions, BlendConfig()).weights), questions)
        assert ended >= begun
    assert ended > begun + 0.01


def test_the_same_questions_give_the_same_weights() -> None:
    assert fit_blend(sample(), BlendConfig()) == fit_blend(sample(), BlendConfig())


def test_questions_of_different_lengths_go_together() -> None:
    questions = sample()
    cut = BlendSample(
        [features[:, : 5 + number % 15] for number, features in enumerate(questions.features)], questions.names
    )
    assert fit_blend(cut, BlendConfig()).weights["good"] > 0


def test_a_channel_that_points_away_or_says_nothing_gets_none() -> None:
    weights = fit_blend(sample(), BlendConfig()).weights
    assert weights["contrary"] == 0.0
    assert weights["constant"] == 0.0


def test_channels_that_all_say_nothing_weigh_nothing() -> None:
    silent = BlendSample([np.ones((2, 5))] * 3, ("a", "b"))
    assert fit_blend(silent, BlendConfig()).weights == {"a": 0.0, "b": 0.0}


@pytest.mark.parametrize("bad", [{"ridge": -1.0}, {"candidates": 1}, {"reach": 0}, {"rounds": -1}])
def test_a_configuration_that_cannot_be_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidArgumentError):
        BlendConfig(**bad)  # type: ignore[arg-type]


def test_without_questions_all_channels_weigh_the_same() -> None:
    assert fit_blend(BlendSample([], ("a", "b")), BlendConfig()).weights == {"a": 1.0, "b": 1.0}


def test_a_score_is_the_weighted_sum() -> None:
    features = {"a": np.array([[1.0, 2.0]], dtype=np.float32), "b": np.array([[10.0, 0.0]], dtype=np.float32)}
    assert Blend({"a": 2.0, "b": 0.5}).score(features).tolist() == [[7.0, 4.0]]
    assert Blend({}).score(features).tolist() == [[0.0, 0.0]]


def test_rounding_of_a_channel_that_says_the_same_of_every_item_is_no_signal() -> None:
    given = sample()
    for features in given.features:
        features[3] = 7.0
        features[3, 0] += 1e-6
    assert fit_blend(given, BlendConfig()).weights["constant"] == 0.0


@pytest.mark.parametrize("rounds", [0, 4])
def test_channels_that_all_point_away_still_give_an_order(rounds: int) -> None:
    rng = np.random.default_rng(5)
    questions = []
    for _ in range(60):
        features = rng.normal(size=(3, 20))
        features[:2, 0] -= [3.0, 1.0]
        features[2] = 7.0
        questions.append(features)
    blend = fit_blend(BlendSample(questions, ("worst", "bad", "constant")), BlendConfig(rounds=rounds))
    assert blend.channels == {"bad"}


def test_a_favoured_channel_weighs_as_much_as_costs_little() -> None:
    plain = fit_blend(far_off_answers(), BlendConfig()).weights
    favoured = fit_blend(far_off_answers(), BlendConfig(), favoured="fair").weights
    assert favoured["good"] == plain["good"]
    assert favoured["fair"] > plain["fair"] > 0
    assert ndcg_of(dict(favoured), far_off_answers()) >= 0.95 * ndcg_of(dict(plain), far_off_answers())
    assert fit_blend(sample(), BlendConfig(), favoured="constant").weights["constant"] == 0.0
