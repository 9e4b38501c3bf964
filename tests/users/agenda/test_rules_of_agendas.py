"""What the user side says to an agent that refuses, asks and proposes: one row per rule of a checked agenda."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from usersim_env.conversation.scene import Scene
from usersim_env.domains import get_task
from usersim_env.messages import Message, Say, Stop
from usersim_env.users.agenda import AgendaUser, Persona

CLEAN = Persona(polite_share=0.0, short_share=0.0, uncertain_share=0.0, pivot_share=0.0)
GO = " Would you like me to go ahead (yes/no)?"
NO = "Unfortunately, that is not possible."
BASIC = "Unfortunately, basic economy flights cannot be modified."
MORE = " Is there anything else I can help you with?"
BOTH = "I would exchange the water bottle and the desk lamp in order #W6390527."
WHOLE = "I can cancel the whole order #W4284542, with the refund to your gift card."


def replies(task_id: str, agent: tuple[str, ...]) -> list[Say | Stop]:
    scene = Scene(task_id, get_task(task_id).instruction, seed=3)
    session = AgendaUser(CLEAN).begin(scene)
    said: list[Say | Stop] = [session.open(scene)]
    messages: list[Message] = []
    for text in agent:
        assert isinstance(said[-1], Say), (task_id, text)
        messages += [Message("user", said[-1].content), Message("agent", text)]
        said.append(session.reply(scene._replace(transcript=tuple(messages), waited=1)))
    return said


REFUSALS = [
    ("retail/test/10", ("Refunds can only go to the original payment. " + NO + GO,), "human representative"),
    ("retail/test/13", ("I'm sorry, I cannot refund to PayPal. Which would you prefer?",), "credit card"),
    ("retail/test/19", ("Unfortunately, I can only do one of the two for one order. Which one?",), "saves me the most"),
    ("retail/test/20", ("Your gift card does not have enough balance. Which other method?",), "PayPal"),
    ("retail/test/25", ("I cannot refund to your amex. Would you like to proceed with PayPal?",), "human"),
    ("retail/test/31", ("I cannot refund or reorder a lost tablet. What else can I help with?",), "the charger"),
    ("retail/test/33", ("It is not possible to cancel part of the items. How would you like to proceed?",), "Seattle"),
    ("retail/test/36", ("I'm sorry, I cannot split the payment.",), "most expensive item"),
    ("retail/test/36", ("I cannot split the payment.", "I cannot cancel single items. What now?"), "cheapest options"),
    (
        "retail/test/45",
        ("What is the order number?", "I could not find order 9502127. Please check it."),
        "forgot the W",
    ),
    ("retail/test/57", ("I cannot cancel just the air purifier.",), "whole order"),
    ("retail/test/58", ("Unfortunately, 8 bar is not available for the coffee machine.",), "9 bar"),
    ("retail/test/62", ("The price of the speaker is $302.67.",), "cheaper than that"),
    ("retail/test/89", ("The cheapest is $226.",), "return my current keyboard"),
    ("retail/test/89", ("The cheapest is $186.",), "exchange my current keyboard"),
    ("retail/test/90", ("The digital camera has 3x zoom.",), "to 10x zoom"),
    ("airline/test/0", ("Only one certificate can be used. Which one would you like to use?",), "the larger one"),
    ("airline/test/1", (BASIC + " What would you like to do?",), "cancel the trip"),
    ("airline/test/13", (BASIC,), "upgrade to economy"),
    ("airline/test/18", (NO, NO, NO, NO), "10% refund"),
    ("airline/test/23", ("There is a fee of $300.",), "fees should be waived"),
    ("airline/test/28", ("Please note that you will not receive a refund for some of them.",), "proceed anyway"),
    ("airline/test/32", ("The price is above your limit, at $600.",), "only for me"),
    ("airline/test/34", ("XEHM4B is basic economy, which cannot be cancelled.",), "upgrade them to economy first"),
]
SILENT = [
    ("retail/test/62", ("There are no speakers for less than $300.",), "cheapest bluetooth speaker"),
    ("retail/test/90", ("The digital camera has 10x zoom.",), "to 10x zoom"),
    ("airline/test/32", ("The price is $400.",), "only for me"),
    ("airline/test/23", ("The fees cannot be waived.",), "fees should be waived"),
    ("airline/test/15", ("Could you give me your reservation ID?",), "GV1N64"),
]
ASKED = [
    ("retail/test/46", ("What is the order number?",), "9502126"),
    ("retail/test/45", ("There are two options: bagged and bagless. Which one would you prefer?",), "bagless"),
    ("retail/test/88", ("I cancel it then. What is the reason for the cancellation?",), "by mistake"),
    ("retail/test/93", ("Which laptop do you mean?",), "15-inch laptop with 32GB"),
    ("airline/test/30", ("Which flight would you like to cancel?",), "Los Angeles"),
    ("airline/test/0", ("Do you want travel insurance?",), "I do not want insurance"),
    ("airline/test/45", ("How many passengers are in the reservation?",), "3 passengers"),
]
DONE = [
    ("airline/test/15", ("Let me see.", "One moment.", "I can see you.", "Just a moment.", "Let me look."), "GV1N64"),
    ("retail/test/22", ("The address has been changed." + MORE,), "back to the original"),
    ("airline/test/10", ("Reservation H9ZU1C has been cancelled.",), "I also wonder why"),
]


@pytest.mark.parametrize(("task", "agent", "said"), [*REFUSALS, *ASKED, *DONE])
def test_a_rule_is_said_when_its_time_has_come(task: str, agent: tuple[str, ...], said: str) -> None:
    assert said in replies(task, agent)[-1].content


@pytest.mark.parametrize(("task", "agent", "said"), SILENT)
def test_and_not_before(task: str, agent: tuple[str, ...], said: str) -> None:
    assert all(said not in reply.content for reply in replies(task, agent))


PROPOSALS = [
    # A confirmation rule comes before the yes, and what it asks for takes the place of the wishes.
    ("retail/test/6", (BOTH + GO,), "only want to exchange the desk lamp"),
    ("retail/test/6", (BOTH + GO, "I would exchange the desk lamp." + GO), "^Yes"),
    ("retail/test/6", (BOTH + GO, BOTH + GO), "^No. I only want to exchange the desk lamp"),
    ("retail/test/6", ("I would exchange the desk lamp." + GO,), "^Yes"),
    ("retail/test/5", (BOTH + GO, "I would exchange the desk lamp." + GO), "return the water bottle instead"),
    ("retail/test/71", ("I would change the desk lamp, paid with your gift card." + GO,), "PayPal instead"),
    ("retail/test/71", ("I would change the address to 159 Hickory Lane, Charlotte." + GO,), "^Yes"),
    ("retail/test/84", ("I would return the tablet to your credit card." + GO,), "the more expensive one"),
    ("airline/test/17", ("The total price is $1300." + GO,), "less than \\$1000"),
    ("airline/test/17", ("The total price is $1300." + GO, "It is $1300. Do you confirm?"), "^No, that is too much"),
    ("airline/test/24", ("The total is $900." + GO,), "don't make any changes"),
    ("airline/test/37", ("I would send you a travel certificate of $50." + GO,), "don't accept the first offer"),
    (
        "retail/test/36",
        ("I cannot split it.", "I cannot cancel one.", "It would cost $1150." + GO),
        "^No, that is too much",
    ),
    # What was called off stays off.
    (
        "retail/test/31",
        ("It is not possible to cancel only the boot. I can cancel the whole order." + GO,),
        "not do any",
    ),
    ("retail/test/57", ("I cannot cancel just the air purifier.", WHOLE + GO), "^Yes"),
    (
        "retail/test/57",
        ("I cannot cancel just the air purifier.", "I cannot refund to a gift card.", "I would cancel the order." + GO),
        "^No. Then I want no cancelation",
    ),
    # Prohibitions.
    ("retail/test/33", ("I would cancel the order #W1." + GO,), "do not want to cancel the order"),
    ("retail/test/48", ("I would return the vacuum cleaner now." + GO,), "do not want to return the vacuum"),
    (
        "airline/test/35",
        ("I would transfer you to a human agent, as I cannot do this." + GO,),
        "^Under no circumstances",
    ),
    ("airline/test/36", ("I am transferring you to a human agent.",), "^Under no circumstances"),
    ("airline/test/1", ("I would book you to EWR via JFK." + GO,), "do not accept JFK"),
    ("airline/test/38", ("I would cancel the flight." + GO,), "^Don't cancel the flight"),
    # Another value of the same kind.
    ("retail/test/0", ("I would exchange the keyboard in order #W9999999." + GO,), "^No, that is the wrong order"),
    ("retail/test/13", ("I would return the lamp, refunded to your gift card." + GO,), "PayPal"),
    ("retail/test/113", ("I would modify the laptop to 1684786391." + GO,), "wrong item, it should be 9844888101"),
    ("retail/test/80", ("I would exchange the T-Shirt for one in color black, size L." + GO,), "red cotton crew neck"),
    ("retail/test/112", ("I would modify the laptop to processor i9, 256GB SSD." + GO,), "processor i5"),
    ("retail/test/17", ("I would change the address of #W8665881 to Suite 999." + GO,), "wrong address"),
    ("retail/test/16", ("I would cancel the order, the reason: ordered by mistake." + GO,), "no longer needed"),
    ("airline/test/0", ("I would book JFK to SEA in business." + GO,), "economy"),
    ("airline/test/0", ("I would book JFK to SEA on May 22 in economy." + GO,), "wrong day"),
    ("airline/test/0", ("I would book JFK to SEA on May 20 in economy, with insurance." + GO,), "not want insurance"),
    ("airline/test/0", ("I would book JFK to SEA on May 20 in economy, 3 bags, without insurance." + GO,), "^Yes"),
    ("airline/test/14", ("The price is $1,200. Shall I proceed?",), "up to \\$600"),
    ("retail/test/1", ("I would cancel order #W2378156." + GO,), "^No, that is not what I want"),
]


@pytest.mark.parametrize(("task", "agent", "said"), PROPOSALS)
def test_answers_to_proposals(task: str, agent: tuple[str, ...], said: str) -> None:
    assert re.search(said, replies(task, agent)[-1].content)


def test_one_thing_at_a_time() -> None:
    opening, answer = (reply.content for reply in replies("airline/test/0", ("Which payment method would you like?",)))
    assert "certificates" not in opening and "baggage" not in opening
    assert "certificates" in answer


def test_a_replaced_wish_is_not_brought_up_again() -> None:
    said = replies(
        "retail/test/5", (BOTH + GO, "I would exchange the desk lamp." + GO, "Done: it is exchanged." + MORE)
    )
    assert isinstance(said[-1], Stop)


def test_another_zip_code_after_each_error() -> None:
    ask = "May I have your full name and zip code?"
    said = [reply.content for reply in replies("retail/test/67", (ask, "I could not find you. " + ask) * 2)[1:]]
    assert ["98178" in said[0], "98186" in said[1], "98187" in said[2]] == [True] * 3


Talk = Callable[..., list[Say | Stop]]


def test_a_question_does_not_end_in_a_please(talk: Talk) -> None:
    polite = Persona(polite_share=1.0, short_share=0.0, uncertain_share=0.0, pivot_share=0.0)
    texts = {
        talk(AgendaUser(polite), "You are Mei Davis in 80217. You want to ask: can I pay by card?", [], seed)[0].content
        for seed in range(20)
    }
    assert not any("?, please" in text or "?." in text for text in texts)
