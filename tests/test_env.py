"""`TauEnv` through `gym.make`: registered ids, seeds, keywords and options. The contracts: tests/test_checking.py."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

from usersim_env import Say, ScriptedUser, Stop, TauEnv, User, UserSession
from usersim_env.conversation.scene import Scene
from usersim_env.errors import UnknownName, UsageError
from usersim_env.registration import DOMAINS, SIDES, env_id

IDS = [env_id(domain, side) for domain in DOMAINS.values() for side in SIDES]
HELLO = {"name": "respond", "arguments": {"content": "Hello!"}}
FIND = {"name": "find_ticket", "arguments": {"email": "ada@mock.example"}}
NOTE_TASK = {"task_id": "mock/test/0"}


class Drawing(User):
    """Says what it draws, so that equal words mean equal task, seed and generator."""

    kind = "scripted"

    def begin(self, scene: Scene) -> UserSession:
        return DrawingSession()


class DrawingSession(UserSession):
    def open(self, scene: Scene) -> Say | Stop:
        return Say(f"{scene.task_id} {scene.seed} {scene.rng().integers(1 << 40)}")

    def reply(self, scene: Scene) -> Say | Stop:
        return self.open(scene)


def make(name: str = "TauMock-v0", **keywords: Any) -> gym.Env[Any, Any]:
    """An env of any id whose user side needs nobody."""
    if "agenda" not in name:
        keywords.setdefault("user", ScriptedUser(("hi", "yes", "bye")))
    return gym.make(name, **keywords)


def core(env: gym.Env[Any, Any]) -> TauEnv:
    assert isinstance(env.unwrapped, TauEnv)
    return env.unwrapped


# -- every id --------------------------------------------------------------------------------------------------------


def test_every_id_is_registered() -> None:
    named = {f"Tau{domain}-{side}v0" for domain in ("Retail", "Airline", "Mock") for side in ("", "agenda-", "human-")}
    assert named <= set(IDS)
    for name in IDS:
        assert gym.spec(name).nondeterministic == ("human" in name or "llm" in name)


def test_every_render_mode_by_gymnasiums_check() -> None:
    for render_mode in (None, "ansi", "rgb_array"):
        check_env(make("TauMock-agenda-v0", render_mode=render_mode).unwrapped)


# -- seeds -----------------------------------------------------------------------------------------------------------


def test_another_seed_is_another_episode() -> None:
    env = make(user=Drawing())
    assert len({env.reset(seed=seed)[0]["content"] for seed in range(8)}) == 8
    assert len({env.reset()[0]["content"] for _ in range(8)}) == 8


def test_same_seed_draws_something_else_on_another_task() -> None:
    env = make(user=Drawing())
    words = [env.reset(seed=1, options={"task_id": task_id})[0]["content"] for task_id in core(env).task_ids]
    assert len({text.split()[-1] for text in words}) == len(words)


def test_every_task_is_drawn() -> None:
    env = make()
    assert {env.reset(seed=seed)[1]["task_id"] for seed in range(60)} == set(core(env).task_ids)


# -- options and keywords ----------------------------------------------------------------------------------------------


def test_reset_info_and_fresh_tools() -> None:
    env = make()
    _, info = env.reset(seed=0, options=NOTE_TASK)
    assert set(info) == {"task_id", "policy", "tools", "valid"}
    assert info["task_id"] == "mock/test/0"
    assert info["policy"] == core(env).policy
    info["tools"][0]["function"]["name"] = "changed"
    assert env.reset()[1]["tools"] == core(env).tools
    assert core(env).tools[0]["function"]["name"] == "find_ticket"


def test_option_tools_false_leaves_them_out() -> None:
    assert set(make().reset(options={"tools": False})[1]) == {"task_id", "valid"}


def test_unknown_option_warns() -> None:
    with pytest.warns(UserWarning, match="unknown option 'task'; it knows task_id, user, tools, lazy_open"):
        make().reset(options={"task": 1})


def test_option_user_sits_for_one_episode() -> None:
    env = make()
    assert env.reset(options={"user": ScriptedUser(("me instead",))})[0]["content"] == "me instead"
    assert env.reset()[0]["content"] == "hi"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"user": "agenda"}, UsageError, "user is a usersim_env.users.User, got str"),
        ({"task_id": "mock/test/9"}, UnknownName, r"Unknown task 'mock/test/9'.*mock/test/0 … mock/test/3"),
        ({"task_id": "retail/test/0"}, UnknownName, "Tasks of mock"),
        ({"task_id": 17}, UnknownName, "Unknown task 17"),
    ],
)
def test_bad_option_leaves_the_episode_running(options: dict[str, Any], error: type[Exception], message: str) -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(error, match=message):
        env.reset(options=options)
    assert env.step(HELLO)[0]["content"] == "yes"


def test_option_lazy_open() -> None:
    env = make()
    observation, info = env.reset(options={"lazy_open": True})
    assert (observation["content"], info["valid"]) == ("", True)
    assert env.step(FIND)[0]["role"] == "tool"
    assert env.step(HELLO)[0]["content"] == "hi"
    assert core(env).trace().lazy_open
    assert env.reset()[0]["content"] == "hi", "for one episode only"


@pytest.mark.parametrize(
    ("name", "keywords", "message"),
    [
        ("TauMock-v0", {}, r"TauMock-v0 has no user side of its own: gym.make\('TauMock-v0', user=…\).*agenda"),
        ("TauMock-v0", {"user": "agenda"}, "user is a usersim_env.users.User, got str"),
        ("TauMock-agenda-v0", {"splitt": "test"}, "Unknown keyword 'splitt'. Did you mean 'split'?"),
        ("TauMock-agenda-v0", {"split": "tset"}, "Unknown split of mock 'tset'. Did you mean 'test'?"),
        ("TauMock-agenda-v0", {"tasks": "mock/test/0"}, "tasks is a list of task ids such as"),
        ("TauMock-agenda-v0", {"tasks": []}, "tasks is a list of task ids such as"),
        ("TauMock-agenda-v0", {"tasks": ["mock/test/4"]}, "Unknown task 'mock/test/4'"),
        ("TauMock-agenda-v0", {"max_steps": 0}, "max_steps is a whole number of at least 1, got 0"),
        ("TauMock-human-v0", {"persona": "humanlike"}, "persona='humanlike' goes with TauMock-agenda-v0"),
    ],
)
def test_bad_keyword(name: str, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gym.make(name, **keywords)


def test_unknown_names_of_ids() -> None:
    with pytest.raises(UnknownName, match=r"Unknown domain 'retial'\. Did you mean 'retail'"):
        env_id("retial")
    with pytest.raises(UnknownName, match=r"Unknown user side 'agend'\. Did you mean 'agenda'"):
        env_id("retail", "agend")


def test_keyword_tasks_and_split() -> None:
    assert core(make(split="train")).task_ids == ("mock/train/0", "mock/train/1")
    assert core(make(tasks=["mock/test/2", "mock/train/1"])).task_ids == ("mock/test/2", "mock/train/1")
