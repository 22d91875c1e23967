import numpy as np
import pytest

from mmrec.channels.blend import Blend, BlendConfig, BlendSample, fit_blend


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


def test_a_channel_that_knows_gets_the_weight() -> None:
    weights = fit_blend(sample(), BlendConfig()).weights
    assert weights["good"] == pytest.approx(2.0, rel=0.15)
    assert weights["noise"] < 0.15


def test_a_channel_that_points_away_or_says_nothing_gets_none() -> None:
    weights = fit_blend(sample(), BlendConfig()).weights
    assert weights["contrary"] == 0.0
    assert weights["constant"] == 0.0


def test_without_questions_all_channels_weigh_the_same() -> None:
    assert fit_blend(BlendSample([], ("a", "b")), BlendConfig()).weights == {"a": 1.0, "b": 1.0}


def test_a_score_is_the_weighted_sum() -> None:
    features = {"a": np.array([[1.0, 2.0]], dtype=np.float32), "b": np.array([[10.0, 0.0]], dtype=np.float32)}
    assert Blend({"a": 2.0, "b": 0.5}).score(features).tolist() == [[7.0, 4.0]]
    assert Blend({}).score(features).tolist() == [[0.0, 0.0]]
