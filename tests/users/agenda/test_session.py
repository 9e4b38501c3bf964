from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest

from usersim_env.baselines.clerk import Clerk
from usersim_env.baselines.silent import Silent
from usersim_env.conversation.scene import Scene
from usersim_env.domains import get_domain
from usersim_env.errors import UnknownName, UsageError
from usersim_env.messages import Message, Say, Stop
from usersim_env.users.agenda import PERSONAS, AgendaUser, Persona, agenda_of
from usersim_env.users.agenda.model import Rule, Secret
from usersim_env.users.agenda.voice import first_person

Play = Callable[..., Any]
Talk = Callable[..., list[Say | Stop]]
TRAIN = (
    "Your name is Juan Rossi and your zip code is 77209. You are cautious. Cancel order #W7602708 because "
    "no longer needed. Return #W4435622 via gift_card_1725971: Water Bottle; "
)
CLEAN = Persona(polite_share=0.0, short_share=0.0, uncertain_share=0.0, pivot_share=0.0)
ASK = "May I have your e-mail address, or your full name and zip code?"
OFFER = "I would cancel order {}, with the reason: {}. Would you like me to go ahead? Please answer yes or no."


def last(talk: Talk, *agent: str, instruction: str = TRAIN, persona: Persona | str = CLEAN, seed: int = 0) -> str:
    said: str = talk(AgendaUser(persona), instruction, agent, seed)[-1].content
    return said


def test_says_its_wishes_and_who_it_is(talk: Talk) -> None:
    opening, answer = talk(AgendaUser(CLEAN), TRAIN, [ASK])
    assert "cancel order #W7602708" in opening.content and "return the Water Bottle" in opening.content
    assert "Juan Rossi" in answer.content and "77209" in answer.content


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("Could you tell me the order number?", "#W7602708"),
        ("What is the reason for the cancellation?", "no longer needed"),
        ("Which payment method would you like to use?", "gift_card_1725971"),
    ],
)
def test_answers_from_its_slots(talk: Talk, question: str, part: str) -> None:
    assert part in last(talk, question)


@pytest.mark.parametrize("seed", range(4))
def test_does_not_know_what_the_instruction_does_not_say(talk: Talk, seed: int) -> None:
    said = last(
        talk,
        "What is your frequent traveller colour?",
        instruction="You are Mei Davis in 80217. You want help.",
        seed=seed,
    )
    assert re.search("cannot tell|no details|see that in your system", said)


@pytest.mark.parametrize("seed", range(5))
def test_accepts_what_does_not_contradict(talk: Talk, seed: int) -> None:
    assert last(talk, OFFER.format("#W7602708", "no longer needed"), seed=seed).startswith("Yes")


@pytest.mark.parametrize(
    ("order", "reason", "part"),
    [
        ("#W9999999", "no longer needed", "wrong order"),
        ("#W7602708", "ordered by mistake", "no longer needed"),
    ],
)
def test_repeats_the_slot_that_a_proposal_contradicts(talk: Talk, order: str, reason: str, part: str) -> None:
    said = last(talk, OFFER.format(order, reason))
    assert said.startswith("No") and part in said


def test_objects_to_another_payment_method(talk: Talk) -> None:
    offer = "I would return the Water Bottle from order #W4435622, with $3 to your paypal (paypal_1). Shall I go ahead?"
    assert "gift_card_1725971" in last(talk, offer)


def test_objects_to_another_day_once(talk: Talk) -> None:
    instruction = "Your name is Bo Lindqvist and your email is bo@mock.example. You want to move the racer to friday."
    offer = "I would move your racer bike to {}. Would you like me to go ahead?"
    said = talk(AgendaUser(CLEAN), instruction, [offer.format("tuesday"), offer.format("monday")])
    assert "wrong day" in said[1].content and "friday" in said[1].content
    assert said[2].content.startswith("Yes")
    assert last(talk, offer.format("friday"), instruction=instruction).startswith("Yes")


def test_repeats_a_prohibition_once(talk: Talk) -> None:
    instruction = "Your user id is mia_li_3668. You want to fly from New York to Seattle. You do not want insurance."
    offer = "I would book a flight from JFK to SEA with insurance. Would you like me to go ahead?"
    said = talk(AgendaUser(CLEAN), instruction, [offer, offer + " Yes or no?"])
    assert said[1].content == "I do not want insurance."
    assert said[2].content.startswith("Yes")
    assert last(talk, offer.replace("with insurance", "without insurance"), instruction=instruction).startswith("Yes")


def test_a_confirmation_rule_comes_before_the_yes(talk: Talk) -> None:
    instruction = (
        "You are Mei Davis in 80217. You want to exchange the water bottle and the desk lamp. "
        "If the agent asks for confirmation, only exchange the desk lamp."
    )
    both = "I would exchange the Water Bottle and the Desk Lamp. Would you like me to go ahead?"
    lamp = "I would exchange the Desk Lamp. Would you like me to go ahead?"
    said = talk(AgendaUser(CLEAN), instruction, [both, lamp])
    assert said[1].content == "I want to only exchange the desk lamp."
    assert said[2].content.startswith("Yes")
    assert last(talk, lamp, instruction=instruction).startswith("Yes")


def test_a_refusal_brings_up_the_rule_for_it(talk: Talk) -> None:
    instruction = (
        "You are Mei Davis in 80217. You want to return the lamp. If that is not possible, you want to exchange it."
    )
    assert last(talk, "Unfortunately, that cannot be returned.", instruction=instruction) == "I want to exchange it."


def test_another_email_after_an_error(talk: Talk) -> None:
    instruction = "You are Amelia, and you have two emails: a@x.example and b@x.example. You want to cancel your order."
    said = talk(AgendaUser(CLEAN), instruction, [ASK, "I could not find an account with that. " + ASK])
    assert "a@x.example" in said[1].content and "b@x.example" in said[2].content


def test_leaves_when_it_is_satisfied(talk: Talk) -> None:
    one = TRAIN.split(" Return")[0] + " "
    user, done = AgendaUser(CLEAN), "That is done. Is there anything else I can help you with?"
    said = talk(user, one, [ASK, OFFER.format("#W7602708", "no longer needed"), done])
    assert isinstance(said[-1], Stop) and len(said) == 4


def test_reminds_of_a_wish_that_was_not_served(talk: Talk) -> None:
    done = "That is done. Is there anything else I can help you with?"
    said = last(talk, OFFER.format("#W7602708", "no longer needed"), done)
    assert "return the Water Bottle" in said


def test_most_farewells_have_words(talk: Talk) -> None:
    ends = [
        talk(AgendaUser(CLEAN), "You are Mei Davis in 80217. You want to know the time.", ["Anything else?"], seed)[-1]
        for seed in range(200)
    ]
    assert all(isinstance(end, Stop) for end in ends)
    assert 0.8 < sum(bool(end.content) for end in ends) / 200 < 0.95


@pytest.mark.parametrize("persona", PERSONAS)
def test_a_silent_agent_makes_it_leave(play: Play, persona: str) -> None:
    for task in get_domain("retail").tasks("test")[::6] + get_domain("mock").tasks("test"):
        episode = play(task.id, AgendaUser(persona), Silent())
        assert episode.ended_by == "user"
        assert len(episode.outcome.feedback.user_texts) <= 13, task.id


def test_an_agent_that_always_has_something_new_is_left_too(talk: Talk) -> None:
    user = AgendaUser(Persona(max_turns=20))
    said = talk(user, TRAIN, [f"Interesting. Number {i} it is." for i in range(100)])
    assert isinstance(said[-1], Stop) and len(said) <= 21


@pytest.mark.parametrize("persona", PERSONAS)
def test_secrets_and_conditions_are_never_spoken(play: Play, persona: str) -> None:
    for domain in ("retail", "airline"):
        for task in get_domain(domain).tasks("test"):
            agenda = agenda_of(task.id, task.instruction)
            held = [secret.text for secret in agenda.of(Secret)]
            held += [rule.condition for rule in agenda.of(Rule) if len(rule.condition.split()) > 3]
            held += [first_person(text) for text in held]
            spoken = "\n".join(play(task.id, AgendaUser(persona), Clerk(), 1).outcome.feedback.user_texts).lower()
            for text in held:
                assert text.strip("(). ").lower() not in spoken, (task.id, text)
            assert "the agent" not in spoken and "you want to" not in spoken, task.id


def test_the_same_seed_says_the_same_also_when_interleaved(play: Play) -> None:
    tasks = [task.id for task in get_domain("retail").tasks("test")[:6]]
    user = AgendaUser("humanlike")
    alone = [play(task, user, Clerk(), 5).outcome.feedback.user_texts for task in tasks]
    assert alone == [play(task, user, Clerk(), 5).outcome.feedback.user_texts for task in tasks]
    assert alone != [play(task, user, Clerk(), 6).outcome.feedback.user_texts for task in tasks]
    scenes = [Scene("x", get_domain("retail").task(task).instruction, seed=5) for task in tasks]
    sessions = [user.begin(scene) for scene in scenes]
    opened = [session.open(scene) for session, scene in zip(sessions, scenes, strict=True)]
    heard = Message("agent", ASK)
    after = [scene._replace(transcript=(heard,)) for scene in scenes]
    together = [session.reply(scene) for session, scene in zip(sessions, after, strict=True)]
    for scene, then, first, second in zip(scenes, after, opened, together, strict=True):
        session = user.begin(scene)
        assert (session.open(scene), session.reply(then)) == (first, second)


def test_answers_the_greeting_of_a_lazy_opening() -> None:
    scene = Scene("x", TRAIN, (Message("agent", "Hi! How can I help you today?"),))
    said = AgendaUser(CLEAN).begin(scene._replace(transcript=())).open(scene)
    assert isinstance(said, Say) and "cancel order #W7602708" in said.content


def test_notes_say_that_it_is_a_draft_and_why_it_left(talk: Talk) -> None:
    for instruction, draft in ((TRAIN, False), ("You are Mei Davis in 80217. You want to return a lamp.", True)):
        user = AgendaUser(Persona(patience=1.0))
        scene = Scene("x", instruction)
        session = user.begin(scene)
        talk(user, instruction, ["Hm, hm."] * 9, 0, session)
        notes = session.notes()
        assert notes["draft"] is draft and notes["ended"] == "fed_up"


def test_settings_pickle_and_describe_themselves() -> None:
    for user in (AgendaUser(), AgendaUser("humanlike"), AgendaUser(Persona(patience=2.0))):
        assert pickle.loads(pickle.dumps(user)) == user
    assert AgendaUser("humanlike").describe() == {"persona": "humanlike", "agendas": "checked"}
    assert AgendaUser(Persona(patience=2.0)).describe()["persona"]["patience"] == 2.0


def test_bad_personas_are_named() -> None:
    with pytest.raises(UnknownName, match=r"Unknown persona 'human'.*humanlike"):
        AgendaUser("human")
    with pytest.raises(UsageError, match="typos of a persona is from 0 to 1, got 2"):
        Persona(typos=2)
    with pytest.raises(UsageError, match="patience of a persona is a number, got 'much'"):
        Persona(patience="much")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="max_turns at least 1"):
        Persona(max_turns=0)
