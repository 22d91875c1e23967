"""The first few of a kind are told in full, and of the others their number when the interval is over."""

from mmrec_serving.log_sampling import INTERVAL_S, Bursts


def test_the_first_of_each_kind_are_told_and_the_others_counted() -> None:
    now = [0.0]
    bursts: Bursts[str] = Bursts(lambda: now[0])
    assert [bursts.first("a") for _ in range(8)] == [True] * 5 + [False] * 3
    assert bursts.first("b")
    assert bursts.ended() == {}
    now[0] = INTERVAL_S
    assert bursts.ended() == {"a": 3}
    assert bursts.ended() == {}
    assert bursts.first("a")
    assert bursts.ended(now=True) == {}


def test_an_interval_may_be_ended_before_its_time() -> None:
    bursts: Bursts[str] = Bursts(lambda: 0.0)
    for _ in range(7):
        bursts.first("a")
    assert bursts.ended(now=True) == {"a": 2}
    assert bursts.first("a")
