import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from usersim_env.agent import Agent
from usersim_env.baselines import AGENTS, Clerk, Oracle, Silent, ToolCalling, make_agent
from usersim_env.errors import UnknownName, UsageError


@pytest.mark.parametrize(
    ("spec", "agent"),
    [
        ("silent", Silent()),
        ("oracle", Oracle()),
        ("clerk", Clerk()),
        ("clerk:", Clerk()),
        ("clerk:wrong_argument=0.2,ask_again=0", Clerk(wrong_argument=0.2, ask_again=0)),
        (" clerk : attempts = 5 , ", Clerk(attempts=5)),
        ("tool_calling:model=openai/gpt-4o", ToolCalling("openai/gpt-4o")),
        (
            "tool_calling:model=openai/local,api_base=http://127.0.0.1:8080/v1,send_seed=no,temperature=1",
            ToolCalling("openai/local", "http://127.0.0.1:8080/v1", 1.0, False),
        ),
    ],
)
def test_agents_by_name(spec: str, agent: Agent) -> None:
    assert make_agent(spec) == agent


@dataclass(frozen=True)
class Own(Silent):
    words: str = ""
    level: int = 0


@pytest.fixture
def own_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("own_agents")
    module.Own, module.build, module.number, module.three = Own, lambda: Own("built"), 3, lambda: 3
    monkeypatch.setitem(sys.modules, "own_agents", module)


@pytest.mark.usefixtures("own_module")
def test_agents_of_your_own() -> None:
    assert make_agent("own_agents:Own") == Own()
    assert make_agent("own_agents:build") == Own("built")
    assert make_agent("own_agents:Own:words=a:b,level=2") == Own("a:b", 2)


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("clark", UnknownName, "Unknown agent 'clark'. Did you mean 'clerk'?"),
        ("xyz", UnknownName, "Known: silent, oracle, clerk, tool_calling. Expected NAME"),
        ("clark:ask_again=1", UnknownName, "Did you mean 'clerk'"),
        ("clerk:ask_agian=1", UnknownName, "Unknown setting of clerk 'ask_agian'. Did you mean 'ask_again'?"),
        ("clerk:ask_again", UsageError, "written setting=value, got 'ask_again'"),
        ("clerk:ask_again=often", UsageError, "ask_again of clerk is a number, got 'often'"),
        ("clerk:ask_again=nan", UsageError, "is a probability from 0 to 1, got nan"),
        ("clerk:attempts=1.5", UsageError, "attempts of clerk is an integer, got '1.5'"),
        ("silent:x=1", UnknownName, "Unknown setting of silent 'x'. Known: none."),
        ("tool_calling", UsageError, "tool_calling needs model. Type: tool_calling:model="),
        ("tool_calling:model=m,send_seed=maybe", UsageError, "send_seed of tool_calling is true or false, got 'maybe'"),
        ("", UsageError, "An agent is named by a text, got ''. Expected NAME"),
        (None, UsageError, "An agent is named by a text, got None"),
        ("no_such_module_here:Agent", UsageError, "could not be imported: No module named 'no_such_module_here'"),
        ("..:Agent", UnknownName, "Unknown agent '..'"),
        ("own_agents:Missing", UsageError, "has no class or function 'Missing'"),
        ("own_agents:number", UsageError, "has no class or function 'number'"),
        ("own_agents:three", UsageError, "made a int, which is no agent"),
        ("own_agents:Own:level=x", UsageError, "level of own_agents:Own is an integer, got 'x'"),
    ],
)
def test_what_is_wrong_is_said(spec: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        make_agent(spec)
    assert message in str(caught.value)


def test_every_name_is_the_agents_own_name() -> None:
    assert {name: getattr(cls, "name", None) for name, cls in AGENTS.items()} == {name: name for name in AGENTS}
