from __future__ import annotations

from mmrec.contract.events import UserEvent
from mmrec_serving.telemetry.click_through import ClickThrough


def click(recommendation_id: str, event_type: str = "view") -> UserEvent:
    return UserEvent("item", event_type, "u", recommendation_id=recommendation_id)


def test_the_first_event_that_takes_an_item_is_the_click_of_its_list() -> None:
    seen = ClickThrough()
    seen.served("r1")
    kinds = ("impression", "dismiss", "purchase", "view")
    assert [seen.clicked(click("r1", kind)) for kind in kinds] == [None, None, True, None]


def test_a_list_of_another_server_and_no_list() -> None:
    seen = ClickThrough()
    assert [seen.clicked(click(one)) for one in ("r9", "r9", "")] == [False, None, None]


def test_only_the_last_ids_are_remembered() -> None:
    seen = ClickThrough(most=2)
    for one in ("r1", "r2", "r3"):
        seen.served(one)
    assert [seen.clicked(click(one)) for one in ("r1", "r2", "r3")] == [False, True, True]
    # The click of r1 is forgotten by now, and that of r3 is not.
    assert [seen.clicked(click(one)) for one in ("r1", "r3")] == [False, None]
