"""`check_env` and `check_user`: all that ships passes, and each contract that is broken on purpose is found."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pickle
import random
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest

from usersim_env import Say, Scene, ScriptedUser, Stop, Survey, ToolCall, Trace, User, UserSession
from usersim_env.checking import ENV_CONTRACTS, USER_CONTRACTS, check_env, check_user
from usersim_env.checking.leaks import leaves
from usersim_env.domains import LOADERS, Task, add_domain, get_domain, get_task
from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import ContractError, InvalidAction, UsageError
from usersim_env.llm import Completion
from usersim_env.multi_agent import PolicyUser
from usersim_env.multi_agent.actions import Filled, as_action
from usersim_env.registration import DOMAINS, SIDES, env_id
from usersim_env.users.agenda import AgendaUser
from usersim_env.users.agenda.persona import PERSONAS
from usersim_env.users.llm import LLMUser
from usersim_env.users.replay import ReplayUser
from usersim_env.users.terminal import TerminalUser

Env = gym.Env[Any, Any]
IDS = [env_id(domain, side) for domain in DOMAINS.values() for side in SIDES]
USER = ScriptedUser(("Hello.", "Yes.", "No.", "Well."))


def typed(prompt: str) -> str:
    return "1"


def shown(text: str) -> None: ...


def recorded(domain: str, index: int = 0) -> Trace:
    env = gym.make(env_id(domain), user=ScriptedUser(("Hello.", "Yes.", Stop("Bye."))), max_steps=9).unwrapped
    assert isinstance(env, TauEnv)
    env.reset(seed=0, options={"task_id": f"{domain}/test/{index}"})
    for words in ("How can I help you?", "Anything else?"):
        env.step({"name": "respond", "arguments": {"content": words}})
    return env.trace()


def answers(monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    """A model that always answers the same, and so never with a survey."""

    def send(*_: Any) -> Completion:
        return Completion(text, (), "stop", 10, 5, 0.001)

    async def asend(*_: Any) -> Completion:
        return send()

    monkeypatch.setattr("usersim_env.llm.transport.send", send)
    monkeypatch.setattr("usersim_env.llm.transport.asend", asend)
    return "openai/none"


# -- what ships passes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IDS)
def test_every_id(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    domain = next(domain for domain, side in itertools.product(DOMAINS.values(), SIDES) if env_id(domain, side) == name)
    keywords: dict[str, Any] = {"max_steps": 30}
    if "human" in name:
        keywords["user"] = TerminalUser(read=typed, write=shown)
    elif "llm" in name:
        keywords["model"] = answers(monkeypatch, "I want to move my repair.")
    elif "replay" in name:
        keywords["traces"] = [recorded(domain, index) for index in range(2)]
    elif "agenda" not in name:
        keywords["user"] = USER
    report = check_env(name, **keywords)
    assert set(report.skipped) == ({"seeds"} if SIDES[name.split("-")[1] if name.count("-") > 1 else ""] else set())
    assert len(report.checked) + len(report.skipped) == len(ENV_CONTRACTS)


def polite(observation: Any, info: Any) -> Any:
    return as_action(Filled(None) if observation["phase"] == "survey" else Say("I see."))


USERS: dict[str, tuple[User, tuple[str, ...]]] = {
    "scripted": (USER, ()),
    "scripted, stops with words": (ScriptedUser(("Hello.", Stop("Bye.")), answers={"reuse": "Yes"}), ()),
    "terminal": (TerminalUser(read=typed, write=shown), ()),
    "replay": (ReplayUser((recorded("mock"), recorded("mock", 1))), ("mock/test/0", "mock/test/1")),
    "replay, handover": (
        ReplayUser((recorded("mock"),), on_divergence="handover", handover=AgendaUser()),
        ("mock/test/0",),
    ),
    "policy": (PolicyUser(polite), ()),
}
for persona in PERSONAS:
    USERS[f"agenda, {persona}"] = (AgendaUser(persona), ("mock/test/0", "retail/test/5", "airline/test/9"))


@pytest.mark.parametrize("name", USERS)
def test_every_user_side(name: str) -> None:
    user, tasks = USERS[name]
    report = check_user(user, **({"tasks": tasks} if tasks else {}), repeatable=True)
    assert not report.skipped and len(report.checked) == len(USER_CONTRACTS)


@pytest.mark.parametrize(
    ("strategy", "text"),
    [("plain", "I want to move my repair."), ("react", "Thought: well.\nMessage: I want to move my repair.")],
)
def test_a_model_as_the_user_side(strategy: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = answers(monkeypatch, text)
    report = check_user(LLMUser(model, strategy=strategy))
    assert set(report.skipped) == {"seeds", "sessions", "async twins"}
    assert not check_user(LLMUser(model, strategy=strategy), repeatable=True).skipped


# -- planted in an env -------------------------------------------------------------------------------------------------


class Wrong(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Changes what comes back from the env below; ``spoil(observation, info)`` of a subclass does it."""

    def __init__(self, env: Env, **settings: Any) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, **settings)
        gym.Wrapper.__init__(self, env)

    def spoil(self, observation: Any, info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return observation, info

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return self.spoil(*self.env.reset(seed=seed, options=options))

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        observation, info = self.spoil(observation, info)
        return observation, reward, terminated, truncated, info

    @property
    def _task(self) -> Task:
        core: Any = self.env.unwrapped
        return get_task(core._conversation.task.id)


class NoText(Wrong):
    def spoil(self, observation: Any, info: Any) -> Any:
        return observation | {"content": 3}, info


class Warns(Wrong):
    def step(self, action: Any) -> Any:
        observation, _, *rest = super().step(action)
        return observation, False, *rest


class NoOptions(Wrong):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.env.reset(seed=seed)


class Nested(Wrong):
    def spoil(self, observation: Any, info: Any) -> Any:
        return observation, info | {"cost": {"usd": 1.0}}


class NoValid(Wrong):
    def spoil(self, observation: Any, info: Any) -> Any:
        return observation, {name: value for name, value in info.items() if name != "valid"}


class TextReward(Wrong):
    def step(self, action: Any) -> Any:
        observation, _, *rest = super().step(action)
        return observation, float("nan"), *rest


class FlagsOfText(Wrong):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, *rest = super().step(action)
        return observation, reward, "yes" if terminated else "", *rest


class SharedTools(Wrong):
    tools: ClassVar[list[Any]] = []

    def spoil(self, observation: Any, info: Any) -> Any:
        self.tools[:] = self.tools or info.get("tools", [])
        return observation, info | ({"tools": self.tools} if "tools" in info else {})


class NoNames(Wrong):
    def step(self, action: Any) -> Any:
        if not isinstance(action["name"], str):
            raise TypeError("no name")
        return super().step(action)


class Strict(Wrong):
    def step(self, action: Any) -> Any:
        if isinstance(action, dict) and action.get("name") == "no_such_tool":
            raise ValueError("no such tool")
        return super().step(action)


class Harsh(Wrong):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated, truncated or observation["content"].startswith("Unknown"), info


class Chance(Wrong):
    def spoil(self, observation: Any, info: Any) -> Any:
        return observation | {"content": observation["content"] + os.urandom(8).hex()}, info


class Shared(Wrong):
    """Counts steps where all envs see it."""

    count: ClassVar[list[int]] = [0]

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.count[0] = 0
        return super().reset(seed=seed, options=options)

    def spoil(self, observation: Any, info: Any) -> Any:
        self.count[0] += 1
        return observation | {"content": f"{observation['content']} {self.count[0]}"}, info


class Global(Wrong):
    def step(self, action: Any) -> Any:
        random.random()
        return super().step(action)


class NumpyGlobal(Wrong):
    def step(self, action: Any) -> Any:
        np.random.random()  # noqa: NPY002 - that is the defect
        return super().step(action)


class Leaks(Wrong):
    def spoil(self, observation: Any, info: Any) -> Any:
        return observation, info | {"hint": tuple(map(str, leaves(self._task.expected_calls[0].arguments)))}


class LeaksWords(Wrong):
    def spoil(self, observation: Any, info: Any) -> Any:
        return observation | {"content": observation["content"] + self._task.instruction}, info


class LeaksAttribute(Wrong):
    def spoil(self, observation: Any, info: Any) -> Any:
        self.goal = {"calls": self._task.expected_calls}
        return observation, info


class Remembers(Wrong):
    words = ""

    def spoil(self, observation: Any, info: Any) -> Any:
        self.words += observation["content"][:1]
        return observation | {"content": observation["content"] + self.words}, info


class Lenient(Wrong):
    """Goes on with another task where the one that was asked for does not exist."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if (options or {}).get("task_id") == "no/such/0":
            options = options | {"task_id": None}
        return super().reset(seed=seed, options=options)


class Endless(Wrong):
    def step(self, action: Any) -> Any:
        try:
            return super().step(action)
        except gym.error.ResetNeeded:
            return {"role": "user", "name": "user", "content": ""}, 0.0, True, False, {"valid": True}


class KeepsThread(Wrong):
    def __init__(self, env: Env) -> None:
        super().__init__(env)
        release = threading.Event()
        RELEASES.append(release)
        threading.Thread(target=release.wait, name="the poller", daemon=True).start()


RELEASES: list[threading.Event] = []


class KeepsFile(Wrong):
    def __init__(self, env: Env) -> None:
        super().__init__(env)
        FILES.append(os.open(__file__, os.O_RDONLY))


FILES: list[int] = []


class ClosesOnce(Wrong):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True
        super().close()


class NotRebuilt(gym.Wrapper[Any, Any, Any, Any]):
    """Records no arguments."""


class Forgets(Wrong):
    """Records another argument than it was made with."""

    def __init__(self, env: Env, suffix: str = "") -> None:
        super().__init__(env, suffix="")
        self._suffix = suffix

    def spoil(self, observation: Any, info: Any) -> Any:
        return observation | {"content": observation["content"] + self._suffix}, info


class NeverEnds(Wrong):
    def step(self, action: Any) -> Any:
        observation, reward, _, _, info = super().step(action)
        return observation, reward, False, False, info


class Swaps(Wrong):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, truncated, terminated, info


class NoLastWords(Wrong):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation | ({"content": ""} if terminated else {}), reward, terminated, truncated, info


class Zero(Wrong):
    """Counts a failure as a reward of 0."""

    def spoil(self, observation: Any, info: Any) -> Any:
        if "failure" in info and "feedback" in info:
            return observation, info | {"feedback": dataclasses.replace(info["feedback"], reward=0.0)}
        return observation, info


class Valid(Wrong):
    def spoil(self, observation: Any, info: Any) -> Any:
        return observation, info | {"valid": True}


class NoFailure(Wrong):
    def spoil(self, observation: Any, info: Any) -> Any:
        return observation, {name: value for name, value in info.items() if name != "failure"}


class NoFeedback(Wrong):
    def spoil(self, observation: Any, info: Any) -> Any:
        return observation, {name: value for name, value in info.items() if name != "feedback"}


class NoSurvey(Wrong):
    def spoil(self, observation: Any, info: Any) -> Any:
        if "feedback" not in info:
            return observation, info
        return observation, info | {"feedback": dataclasses.replace(info["feedback"], survey=None)}


class NeedsSurvey(Wrong):
    """An episode without a survey is thrown away."""

    def spoil(self, observation: Any, info: Any) -> Any:
        if "feedback" in info and info["feedback"].survey is None:
            return observation, info | {"feedback": dataclasses.replace(info["feedback"], reward=None)}
        return observation, info


class GenerousLimit(Wrong):
    def step(self, action: Any) -> Any:
        *rest, truncated, info = super().step(action)
        if truncated and "failure" not in info:
            info["feedback"] = dataclasses.replace(info["feedback"], reward=1.0)
        return *rest, truncated, info


ENVS: list[tuple[Callable[[Env], Env], str]] = [
    (NoText, r"\[spaces\] reset\(seed=1\): got the observation .*'content': 3.*, expected one of Dict.*Change obs"),
    (NoText, r"\[gymnasium api\] .*AssertionError"),
    (Warns, r"\[gymnasium api\] gymnasium's check_env: got the warning .*reward.*, expected none"),
    (Warns, r"\[spaces\] .*got the reward False, expected a finite number"),
    (FlagsOfText, r"\[spaces\] .*got terminated='', expected True or False"),
    (
        NoOptions,
        r"\[options\] reset with the option task_id='mock/.*passes reset's seed and options on to the env below",
    ),
    (NoOptions, r"\[options\] reset with the option user=…: got .*, expected its opening 'Good day. Grüße 🙂'"),
    (NoOptions, r"\[options\] reset with the option tools=False: got policy and tools in info, expected neither"),
    (NoOptions, r"\[options\] reset with the option lazy_open=True: got words at once, expected that the agent begins"),
    (NoOptions, r"\[options\] reset with the option no_such_option=1: got no warning"),
    (Nested, r"\[spaces\] .*got a dict in info\['cost'\], expected no nested dict.*frozen dataclass"),
    (NoValid, r"\[spaces\] .*got info\['valid'\] None, expected True or False at every step"),
    (TextReward, r"\[spaces\] .*got the reward nan, expected a finite number"),
    (SharedTools, r"\[fresh tools\] .*got the changed tools at the next reset, expected fresh ones"),
    (NoNames, r"\[malformed actions\] step\(None\): got TypeError.*expected InvalidAction before anything changes"),
    (Strict, r"\[malformed actions\] step\({'name': 'no_such_tool'.*got ValueError: no such tool, expected an observ"),
    (
        Harsh,
        r"\[malformed actions\] .*truncated=True.*expected that the episode goes on.*costs a step, not the episode",
    ),
    (Chance, r"\[seeds\] seed 1 a second time in the same env: got .* at step 0, expected what the first run gave"),
    (Shared, r"\[seeds\] seed 1 in a second env, interleaved with a third: .*never in a class, a module or the User"),
    (Global, r"\[seeds\] episodes were played: got another state of the global generator random, expected the same"),
    (NumpyGlobal, r"\[seeds\] .* global generator numpy.random"),
    (Leaks, r"\[no leak\] an episode of mock/test/0 with an agent that says little: got \d+ secrets.*@mock.example"),
    (
        LeaksWords,
        r"\[no leak\] .*secrets that nobody had said.*expected none in observations, infos, public attributes",
    ),
    (LeaksAttribute, r"\[no leak\] .*got \d+ secrets"),
    (Remembers, r"\[resets\] reset\(seed=7\) in mid-episode: got .*Start afresh in reset"),
    (Lenient, r"\[resets\] reset with the option task_id='no/such/0': got no error, expected UnknownName"),
    (Endless, r"\[resets\] step after the end: got no error, expected gymnasium.error.ResetNeeded"),
    (KeepsThread, r"\[closing\] an env was made, used and closed: got threads left: the poller .*End every thread"),
    (KeepsFile, r"\[closing\] .*got files left: .*test_checking.py, expected none"),
    (ClosesOnce, r"\[closing\] close\(\) twice: got RuntimeError: closed already, expected no exception"),
    (NotRebuilt, r"\[spec\] gym.make\(env.spec\): got .*RecordConstructorArgs.*A wrapper records all arguments"),
    (lambda env: Forgets(env, suffix="!"), r"\[spec\] an episode in gym.make\(env.spec\): got .*records all arguments"),
    (NeverEnds, r"\[stops\] the user side answered Stop.*terminated=False, truncated=False, expected terminated=True"),
    (Swaps, r"\[stops\] .*got terminated=False, truncated=True, expected terminated=True, truncated=False"),
    (Swaps, r"\[transfers\] a call of transfer_to_human_agents: got terminated=False, truncated=True"),
    (Swaps, r"\[limit\] 8 calls of a tool that there is not: got terminated=True, truncated=False"),
    (Swaps, r"\[failures\] .*got terminated=True, truncated=False, expected terminated=False, truncated=True"),
    (NoLastWords, r"\[stops\] .*expected these words as the last observation and turn"),
    (GenerousLimit, r"\[limit\] .*got feedback.reward 1.0, expected 0.0"),
    (NoSurvey, r"\[stops\] .*got the survey None, expected {'task_success'"),
    (Zero, r"\[failures\] .*got feedback.reward 0.0, trace.reward None.*Not scored is None, never 0"),
    (
        Valid,
        r"\[failures\] reset, when open of the user side gave Stop\(.*got valid=True, failure 'stopped_at_open', exp",
    ),
    (Valid, r"\[failures\] reply of the user side gave Abandoned.*got info\['valid'\] True, expected False"),
    (NoFailure, r"\[failures\] .*got info\['failure'\] None, expected a Failure of kind 'abandoned'"),
    (NoFeedback, r"\[stops\] .*got info\['feedback'\] None, expected a Feedback at the end"),
    (NeedsSurvey, r"\[failing survey\] fill_survey of the user side gave .*expected a scored episode without a survey"),
]


def base() -> Env:
    return gym.make("TauMock-v0", user=ScriptedUser(("Hi.", "Yes.", "No.", "Well.")), max_steps=8)


@pytest.mark.parametrize(("wrap", "message"), ENVS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.filterwarnings("ignore")
def test_a_defect_of_an_env_is_found(wrap: Callable[[Env], Env], message: str) -> None:
    try:
        with pytest.raises(ContractError, match=message):
            check_env(wrap(base()))
    finally:
        while RELEASES:
            RELEASES.pop().set()
        while FILES:
            os.close(FILES.pop())


def test_the_wrapper_that_the_defects_are_planted_in_is_sound() -> None:
    assert not check_env(Wrong(base())).skipped


def test_every_contract_of_an_env_is_broken_by_somebody() -> None:
    names = {contract.__name__.replace("_", " ") for contract in ENV_CONTRACTS}
    named = {name for name in names for _, message in [*ENVS, *TOOLS] if f"\\[{name}\\]" in message}
    assert named == names


# -- planted in a domain -----------------------------------------------------------------------------------------------

DRAWN = itertools.count()


def draws(data: Any, **arguments: Any) -> str:
    data["tickets"]["T-1001"]["day"] = f"day {next(DRAWN)}"
    return f"moved to {next(DRAWN)}"


TOOLS: list[tuple[Callable[..., str], str]] = [
    (
        draws,
        r"\[domain\] the expected calls of shop: got shop/test/0: move_ticket answers 'moved to .*a function of the",
    ),
    (draws, r"\[rewards\] the expected calls of shop/test/0 were made, its outputs said: got reward 0.0, feedback.rew"),
]


@pytest.mark.parametrize(("tool", "message"), TOOLS)
def test_a_defect_of_a_domain_is_found(tool: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mock = get_domain("mock")
    tools = dict(mock.tools) | {"move_ticket": dataclasses.replace(mock.tools["move_ticket"], invoke=tool)}
    tasks = tuple(dataclasses.replace(t, id=t.id.replace("mock", "shop"), domain="shop") for t in mock.tasks())
    shop = dataclasses.replace(mock, name="shop", tools=tools, splits={"test": tasks})
    monkeypatch.setitem(LOADERS, "shop", lambda: shop)
    monkeypatch.setitem(DOMAINS, "Shop", "shop")
    with pytest.raises(ContractError, match=message):
        check_env(TauEnv("shop", USER))


# -- planted in a user side --------------------------------------------------------------------------------------------


class Fine(User):
    """Says how many turns it has seen; its subclasses each have one defect."""

    kind: ClassVar[str] = "scripted"

    def begin(self, scene: Scene) -> UserSession:
        return FineSession(self)

    def turn(self, session: FineSession, scene: Scene) -> Any:
        return Say(f"turn {len(scene.transcript)}")

    def survey(self, scene: Scene) -> Any:
        return Survey({"reuse": "Yes"})

    def close(self) -> None: ...

    def notes(self) -> Any:
        return {"calls": 1}


class FineSession(UserSession):
    def __init__(self, user: Fine) -> None:
        self.user = user
        self.count = 0

    def open(self, scene: Scene) -> Any:
        return self.user.turn(self, scene)

    def reply(self, scene: Scene) -> Any:
        return self.user.turn(self, scene)

    def fill_survey(self, scene: Scene) -> Any:
        return self.user.survey(scene)

    def notes(self) -> Any:
        return self.user.notes()

    def close(self) -> None:
        self.user.close()


class Nameless(Fine):
    name = ""


class Blocks(Fine):
    blocking: ClassVar[Any] = "yes"


class BadSettings(Fine):
    def describe(self) -> Any:
        return {"model": object()}


class Counts(Fine):
    begun = 0

    def begin(self, scene: Scene) -> UserSession:
        self.begun += 1
        return super().begin(scene)

    def describe(self) -> Any:
        return {"begun": self.begun}


class NotPickled(Fine):
    def __init__(self) -> None:
        self.lock = threading.Lock()


class PickledAsAnother(Fine):
    def __init__(self, label: str = "") -> None:
        self.label = label

    def describe(self) -> Any:
        return {"label": self.label}

    def __reduce__(self) -> Any:
        return PickledAsAnother, ()


class OtherTask(Fine):
    def own_task(self, task: Task, seed: int) -> Task:
        return get_task("mock/test/3")


class NoSession(Fine):
    def begin(self, scene: Scene) -> Any:
        return None


class StopsAtOnce(Fine):
    def turn(self, session: Any, scene: Scene) -> Any:
        return Stop()


class TextTurns(Fine):
    def turn(self, session: Any, scene: Scene) -> Any:
        return "words"


class Raises(Fine):
    def turn(self, session: Any, scene: Scene) -> Any:
        return Say("Hello.") if len(scene.transcript) < 2 else Say(str(scene.transcript[99]))


class NoGreeting(Fine):
    def turn(self, session: Any, scene: Scene) -> Any:
        return Stop() if len(scene.transcript) == 1 and scene.waited else Say("Hello.")


class TextSurvey(Fine):
    def survey(self, scene: Scene) -> Any:
        return {"reuse": "Yes"}


class WrongSurvey(Fine):
    def survey(self, scene: Scene) -> Any:
        return Survey({"reuse": "Perhaps"})


class Changes(Fine):
    def turn(self, session: Any, scene: Scene) -> Any:
        for message in scene.transcript[:1]:
            object.__setattr__(message, "content", "something else")
        return Say("Hello.")


class ChanceUser(Fine):
    def turn(self, session: Any, scene: Scene) -> Any:
        return Say(os.urandom(8).hex())


class GlobalUser(Fine):
    def turn(self, session: Any, scene: Scene) -> Any:
        random.random()
        return Say("Hello.")


class SharedUser(Fine):
    def begin(self, scene: Scene) -> UserSession:
        COUNT.clear()
        return super().begin(scene)

    def turn(self, session: Any, scene: Scene) -> Any:
        COUNT.append(1)
        return Say(f"turn {len(COUNT)}")


COUNT: list[int] = []


class OtherTwin(Fine):
    def begin(self, scene: Scene) -> UserSession:
        return OtherTwinSession(self)


class OtherTwinSession(FineSession):
    async def areply(self, scene: Scene) -> Any:
        return Say("something else")


class BadNotes(Fine):
    def notes(self) -> Any:
        return {"cost": float("nan")}


class NoNotes(Fine):
    def notes(self) -> Any:
        return None


class NoWatch(Fine):
    sees_everything = True


class BadTerms(Fine):
    def begin(self, scene: Scene) -> UserSession:
        session = super().begin(scene)
        session.terms = "CC BY"  # type: ignore[assignment]
        return session


class CannotClose(Fine):
    closed: ClassVar[list[int]] = []

    def close(self) -> None:
        raise RuntimeError("never opened")


class LeavesThread(Fine):
    def begin(self, scene: Scene) -> UserSession:
        release = threading.Event()
        RELEASES.append(release)
        threading.Thread(target=release.wait, name="the listener", daemon=True).start()
        return super().begin(scene)


PLANTED: list[tuple[User, str]] = [
    (Nameless(), r"\[setting\] name: got '', expected a short text"),
    (Blocks(), r"\[setting\] blocking: got 'yes', expected True or False"),
    (BadSettings(), r"\[setting\] describe\(\): got NotJson: describe\(\).model is a object.*expected a dict of JSON"),
    (Counts(), r"\[setting\] describe\(\) after episodes: got .*keep what changes in the session"),
    (
        NotPickled(),
        r"\[pickling\] pickle.loads\(pickle.dumps\(user\)\): got TypeError: cannot pickle .*begin\(\) makes",
    ),
    (PickledAsAnother("mine"), r"\[pickling\] a pickled copy: got 'scripted' {'label': ''}, expected the same setting"),
    (OtherTask(), r"\[tasks\] own_task of mock/test/0: got Task.*, expected a Task of that id"),
    (NoSession(), r"\[turns\] .*got BadReply: begin\(\) of the user side gave a NoneType, not a UserSession"),
    (
        StopsAtOnce(),
        r"\[turns\] an episode of mock/test/0 that it opens at the beginning: got open: .*stopped before it",
    ),
    (TextTurns(), r"\[turns\] .*got open: The user side answered str, not Say or Stop.*Return Say\(text\) or Stop"),
    (Raises(), r"\[turns\] .*got reply raised IndexError: tuple index out of range, expected turns to the end"),
    (
        NoGreeting(),
        r"\[turns\] an episode of mock/test/0 that it opens after the agent's greeting: got open: .*stopped",
    ),
    (TextSurvey(), r"\[surveys\] fill_survey: got {'reuse': 'Yes'}, expected a Survey of the form, or None"),
    (WrongSurvey(), r"\[surveys\] fill_survey: got fill_survey raised UnknownName: Unknown answer to reuse 'Perhaps'"),
    (Changes(), r"\[scenes\] reply\(scene\): got another scene afterwards, expected the same. Copy before you change"),
    (ChanceUser(), r"\[seeds\] the same episodes twice: got .*, expected the same: .*Draw from scene.rng"),
    (GlobalUser(), r"\[seeds\] episodes were played: got another state of the global generator random"),
    (SharedUser(), r"\[sessions\] episodes at the same time, turn by turn: got .*, expected what each says alone"),
    (OtherTwin(), r"\[async twins\] .*got .*something else.*, expected the same: .*Override both or neither"),
    (BadNotes(), r"\[extras\] notes\(\): got NotJson: notes\(\).cost is nan.*expected a dict of JSON values"),
    (NoNotes(), r"\[extras\] notes\(\): got None, expected a dict of JSON values"),
    (NoWatch(), r"\[extras\] watch\(events\): got None, expected Replayed"),
    (BadTerms(), r"\[extras\] terms: got 'CC BY', expected Terms or None"),
    (CannotClose(), r"\[closing\] .*got RuntimeError: never opened.*expected no exception"),
    (LeavesThread(), r"\[closing\] sessions were begun and closed: got threads left: the listener"),
]


@pytest.mark.parametrize(("user", "message"), PLANTED, ids=lambda value: type(value).__name__)
def test_a_defect_of_a_user_side_is_found(user: User, message: str) -> None:
    try:
        with pytest.raises(ContractError, match=message):
            check_user(user)
    finally:
        while RELEASES:
            RELEASES.pop().set()


def test_the_user_side_that_the_defects_are_planted_in_is_sound() -> None:
    assert not check_user(Fine()).skipped


def test_every_contract_of_a_user_side_is_broken_by_somebody() -> None:
    names = {contract.__name__.replace("_", " ") for contract in USER_CONTRACTS}
    assert {name for name in names for _, message in PLANTED if f"\\[{name}\\]" in message} == names


# -- reports and bad input ---------------------------------------------------------------------------------------------


def test_every_broken_contract_is_listed_in_one_error() -> None:
    with pytest.raises(ContractError) as caught:
        check_env(Nested(NoFailure(base())))
    text = str(caught.value)
    assert text.startswith("<Nested<NoFailure<") and f"breaks {len(caught.value.broken)} contracts:" in text
    assert "[spaces]" in text and "[failures]" in text
    assert pickle.loads(pickle.dumps(caught.value.broken)) == caught.value.broken


def test_without_options_nothing_else_is_looked_at() -> None:
    with pytest.raises(ContractError, match="stand on this one and were not looked at") as caught:
        check_env(NoOptions(base()))
    assert len(caught.value.broken) == 6
    assert all(line.startswith("[options]") for line in caught.value.broken[:-1])


def test_what_cannot_be_looked_at_is_said() -> None:
    report = check_env(TauEnv("mock", USER))
    assert set(report.skipped) == {"seeds", "spec", "closing"}
    assert "Make it with gym.make, or give the id" in report.skipped["closing"]
    with_many = check_env("TauMock-v0", user=USER, max_steps=5000)
    assert "max_steps is 5000" in with_many.skipped["limit"]


class Numbered(Wrong):
    """Takes 0 and 1 for two sentences, or a `ToolCall`."""

    def __init__(self, env: Env, strict: bool = True) -> None:
        super().__init__(env, strict=strict)
        self.action_space = gym.spaces.Discrete(2)
        self._strict = strict

    def step(self, action: Any) -> Any:
        if self._strict and action not in self.action_space and not isinstance(action, ToolCall):
            raise InvalidAction(f"0 or 1, got {action!r}")
        call = action if isinstance(action, ToolCall) else ToolCall("respond", {"content": f"Sentence {action}."})
        return super().step({"name": call.name, "arguments": dict(call.arguments)})


def test_an_action_space_of_ones_own() -> None:
    report = check_env(Numbered(base()), as_action=lambda call: call)
    assert not report.skipped
    report = check_env(Numbered(base()))
    assert "seeds" in report.skipped
    assert "Discrete(2). Say as_action=… to check_env" in report.skipped["no leak"]
    with pytest.raises(ContractError, match=r"\[malformed actions\] step\(None\): got no error"):
        check_env(Numbered(base(), strict=False))


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_env(3), "takes an id such as 'TauMock-agenda-v0' or an env of this package, got int"),  # type: ignore[arg-type]
        (lambda: check_env(base(), user=USER), "user: goes with an id; an env that is made keeps its settings"),
        (lambda: check_user("agenda"), "user is a usersim_env.users.User, got str"),  # type: ignore[arg-type]
        (lambda: check_user(USER, tasks=[]), r"tasks is a list of task ids such as \['mock/test/0'"),
        (lambda: check_user(USER, tasks=["mock/test/9"]), "Unknown task 'mock/test/9'"),
        (lambda: add_domain(3), "A domain is a usersim_env.domains.Domain or a folder, got int"),  # type: ignore[arg-type]
    ],
)
def test_bad_input(check: Callable[[], Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check()
