"""What a command that SIGTERM has ended says of going on."""

from mmrec.cli.signals import stopped_message


def test_a_fit_that_began_anew_goes_on_without_the_flag() -> None:
    said = stopped_message(["fit", "data/my shop", "--out", "bundle", "--fresh"])
    assert said.endswith("\n  mmrec fit 'data/my shop' --out bundle")
    assert "the same command starts again from the beginning. Without --fresh it continues from the results in" in said
    assert "those of an earlier run if this one had just begun" in said


def test_a_fit_goes_on_by_the_same_command() -> None:
    assert stopped_message(["fit", "shop", "--out", "b"]).endswith(
        "run the same command again:\n  mmrec fit shop --out b"
    )


def test_other_commands_begin_again() -> None:
    assert "starts again from the beginning" in stopped_message(["evaluate", "bundle"])
