from __future__ import annotations

import pytest

from usersim_env.users.agenda.acts import ACTS, TOPICS, listen


@pytest.mark.parametrize(
    ("text", "acts", "topics"),
    [
        ("Could you tell me the e-mail address or your full name and zip code?", {"ask"}, ("email", "name", "zip")),
        ("To proceed, please provide your user ID.", {"ask"}, ("user_id",)),
        ("Hi! How can I help you today?", {"greet", "ask"}, ("wish",)),
        ("What is the reason for the cancellation?", {"ask"}, ("reason",)),
        ("Which payment method would you like to use?", {"ask"}, ("payment",)),
        ("Could you please confirm your email address?", {"ask"}, ("email",)),
        ("To confirm: I will cancel order #W1 for you. Shall I go ahead (yes/no)?", {"confirm"}, ()),
        ("Here are the details: Lamp to lamp. Would you like to proceed with this exchange?", {"confirm"}, ()),
        ("Do you confirm these changes?", {"confirm"}, ()),
        ("Done: the order has been cancelled.", {"done"}, ()),
        (
            "Your order has been successfully cancelled. Is there anything else I can help with?",
            {"done", "anything_else"},
            (),
        ),
        ("Unfortunately, basic economy flights cannot be changed.", {"deny"}, ()),
        ("I am sorry, I could not find an account with that.", {"apologise", "error"}, ()),
        ("Please hold on, I am transferring you to a human agent.", {"transfer"}, ()),
        ("Let me check that for you. One moment.", {"hold"}, ()),
        ("The weather is mild.", {"unknown"}, ()),
        ("", {"unknown"}, ()),
    ],
)
def test_acts(text: str, acts: set[str], topics: tuple[str, ...]) -> None:
    heard = listen(text)
    assert acts <= heard.acts and ("confirm" in acts) == ("confirm" in heard.acts)
    assert heard.topics == topics


def test_the_sets_are_closed() -> None:
    known = {name for name, _ in TOPICS} | {"other"}
    for text in ("Can you fly?", "Sorry, no. Bye! Anything else?", "I have refunded it; which item, and why?"):
        assert listen(text).acts <= set(ACTS)
        assert set(listen(text).topics) <= known


def test_a_proposal_is_what_a_yes_is_asked_for() -> None:
    heard = listen(
        "That is done. I would cancel order #W1234567. Would you like me to go ahead? Please answer yes or no."
    )
    assert {"done", "confirm"} <= heard.acts
    assert "#W1234567" in heard.proposal and "done" not in heard.proposal
