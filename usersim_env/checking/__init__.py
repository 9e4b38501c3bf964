"""The contracts as a check that runs on an env, a wrapper, a domain or a user side of your own.

``check_env("TauMock-agenda-v0")``, ``check_env(MyWrapper(env))``, ``check_user(MyUser())``: silent where everything
holds, else one `ContractError` that lists everything that does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from usersim_env.checking import end_contracts, env_contracts, episode_contracts, user_contracts
from usersim_env.checking.findings import Report, hold
from usersim_env.checking.leaks import AnyEnv, AsAction
from usersim_env.checking.subject import subject_of
from usersim_env.checking.user_contracts import Sitting
from usersim_env.domains import get_task
from usersim_env.env.raised import on_purpose
from usersim_env.errors import UsageError
from usersim_env.users.base import User
from usersim_env.users.seating import checked_user

__all__ = ["Report", "check_env", "check_user"]

TASKS = ("mock/test/0", "mock/test/1", "mock/train/0")


def check_env(env: AnyEnv | str, as_action: AsAction | None = None, **keywords: Any) -> Report:
    """Checks an env, whatever is wrapped around it. It is used up: closed at the end.

    Most contracts put user sides of the check's own into the seat (``options={"user": …}``); the env's own is asked
    where repeatability is looked at, unless the id is registered nondeterministic.

    Args:
        env: an id, also ``module:id``, or an env of this package.
        as_action: how a `ToolCall` (or ``respond``) looks as an action, for an action space that is neither tool calls,
            chat messages nor text with ``<tool_call>`` tags.
        keywords: of `gym.make`, for an id.

    Returns:
        What was looked at, and what could not be and why.

    Raises:
        ContractError: every broken contract.
        UsageError: no env of this package.

    Example:
        >>> from usersim_env.checking import check_env
        >>> check_env("TauMock-agenda-v0").skipped
        {}
    """
    subject = subject_of(env, as_action, keywords)
    try:
        with on_purpose():
            return hold(subject.name, subject, ENV_CONTRACTS)
    finally:
        subject.env.close()


def check_user(user: User, tasks: Sequence[str] = TASKS, repeatable: bool | None = None) -> Report:
    """Checks a user side against a fixed agent.

    Args:
        user: the user side; a person or a model is really asked, some dozens of times.
        tasks: ids that it can play.
        repeatable: whether it says the same when it is shown the same; by default of all kinds but ``human``, ``llm``.

    Returns:
        What was looked at, and what could not be and why.

    Raises:
        ContractError: every broken contract.
        UsageError: no `User`, or of a kind that traces do not know; no tasks, or one that it cannot play.

    Example:
        >>> from usersim_env import ScriptedUser
        >>> from usersim_env.checking import check_user
        >>> check_user(ScriptedUser(("Hello.", "Thank you."))).skipped
        {}
    """
    user = checked_user(user)
    if isinstance(tasks, str) or not tasks:
        raise UsageError(f"tasks is a list of task ids such as {list(TASKS)}, got {tasks!r}.")
    for task_id in tasks:
        user.own_task(get_task(task_id), 0)
    repeatable = user.kind not in ("human", "llm") if repeatable is None else repeatable
    sitting = Sitting(user, tuple(tasks), repeatable)
    return hold(f"{type(user).__name__} ({user.kind})", sitting, USER_CONTRACTS)


ENV_CONTRACTS = (
    env_contracts.options,
    env_contracts.gymnasium_api,
    env_contracts.spaces,
    env_contracts.fresh_tools,
    env_contracts.malformed_actions,
    episode_contracts.seeds,
    episode_contracts.no_leak,
    episode_contracts.resets,
    episode_contracts.domain,
    end_contracts.rewards,
    end_contracts.stops,
    end_contracts.transfers,
    end_contracts.limit,
    end_contracts.failures,
    end_contracts.failing_survey,
    episode_contracts.spec,
    episode_contracts.closing,
)
USER_CONTRACTS = (
    user_contracts.turns,
    user_contracts.setting,
    user_contracts.pickling,
    user_contracts.tasks,
    user_contracts.surveys,
    user_contracts.scenes,
    user_contracts.seeds,
    user_contracts.sessions,
    user_contracts.async_twins,
    user_contracts.extras,
    user_contracts.closing,
)
