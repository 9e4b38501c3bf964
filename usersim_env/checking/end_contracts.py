"""The contracts of an episode's end: stops, transfers, limits, rewards, and failures that are not scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from usersim_env.checking.env_contracts import LOOK
from usersim_env.checking.findings import Broken, NotChecked, shown
from usersim_env.checking.leaks import texts
from usersim_env.checking.subject import ANSWERS, STOPPING, TALKER, Subject, says
from usersim_env.conversation.scene import Scene
from usersim_env.domains import get_task
from usersim_env.errors import Abandoned, UserSideError
from usersim_env.feedback.values import Failure, Feedback
from usersim_env.messages import Say, Stop, ToolCall
from usersim_env.users.base import User, UserSession
from usersim_env.users.scripted import ScriptedUser

FAREWELL = "That is all, auf Wiedersehen 🙂"
MOST = 1000
_BELOW = "Return what the env below returned, also at the end."


def stops(subject: Subject) -> Iterator[Broken]:
    """The user side ends the episode; words that come with it are its last turn."""
    for user in (STOPPING, ScriptedUser(("Good day.", Stop(FAREWELL)), answers=ANSWERS)):
        subject.start(user)
        step = subject.step(says("Hello!"))
        done = f"the user side answered {shown(user.lines[-1])}"
        yield from _ended(subject, step, done, terminated=True, ended_by="user")
        if user is not STOPPING:
            heard = subject.core.trace().messages[-1].content, " ".join(texts(step[0]))
            if heard[0] != FAREWELL or FAREWELL not in heard[1]:
                yield Broken(done, shown(step[0]), "these words as the last observation and turn", _BELOW)


def transfers(subject: Subject) -> Iterator[Broken]:
    """The agent hands over to a person, and the episode ends."""
    offered = {tool["function"]["name"] for tool in subject.start()[1]["tools"]}
    names = sorted(offered & subject.core._domain.terminal)
    if not names:
        raise NotChecked("the agent is offered no tool that ends an episode")
    for name in names:
        subject.start(TALKER)
        step = subject.step(ToolCall(name, {}))
        yield from _ended(subject, step, f"a call of {name}", terminated=True, ended_by="transfer")


def limit(subject: Subject) -> Iterator[Broken]:
    """At the step limit the episode is truncated, surveyed, and scored 0."""
    subject.start(TALKER)
    most = subject.core.trace().rules.max_steps
    if most > MOST:
        raise NotChecked(f"max_steps is {most}; make the env with one of at most {MOST}")
    step = subject.until_over(LOOK, most)
    done = f"{most} calls of a tool that there is not"
    if subject.core.trace().ended_by == "cut" and step[3]:
        raise NotChecked("a TimeLimit cuts episodes off before max_steps")
    yield from _ended(subject, step, done, terminated=False, ended_by="limit")
    if isinstance(feedback := step[4].get("feedback"), Feedback) and feedback.reward != 0.0:
        yield Broken(done, f"feedback.reward {feedback.reward}", "0.0", "τ-bench scores an episode without an end 0.")


def _ended(subject: Subject, step: tuple[Any, ...], done: str, terminated: bool, ended_by: str) -> Iterator[Broken]:
    """What a scored end looks like."""
    info = step[4]
    if (step[2], step[3]) != (terminated, not terminated):
        yield Broken(
            done,
            f"terminated={step[2]}, truncated={step[3]}",
            f"terminated={terminated}, truncated={not terminated}",
            _BELOW,
        )
    if (trace := subject.core.trace()).ended_by != ended_by:
        yield Broken(done, f"a trace with ended_by={trace.ended_by!r}", repr(ended_by), _BELOW)
    feedback = info.get("feedback")
    if not isinstance(feedback, Feedback):
        yield Broken(done, f"info['feedback'] {shown(feedback)}", "a Feedback at the end", _BELOW)
        return
    if "failure" in info or feedback.reward not in (0.0, 1.0):
        yield Broken(
            done, f"failure={shown(info.get('failure'))}, reward={feedback.reward}", "a scored episode", _BELOW
        )
    survey = None if feedback.survey is None else dict(feedback.survey.answers)
    wanted = ANSWERS if trace.rules.survey else None
    if survey != wanted:
        yield Broken(done, f"the survey {shown(survey)}", shown(wanted), "Ask for it when the rules say so.")
    if info.get("valid") is not True and trace.rules.survey:
        yield Broken(done, f"info['valid'] {info.get('valid')}", "True", "Nothing failed: the episode counts.")


def rewards(subject: Subject) -> Iterator[Broken]:
    """Without wrappers the reward is 0.0 until the end, and then the rule reward; the expected calls earn 1.0."""
    core = subject.core
    for task_id in subject.task_ids:
        task = get_task(task_id)
        calls = [call for call in task.expected_calls if call.name not in core._domain.terminal]
        user = ScriptedUser(("Good day.", "Yes.", Stop()))
        core.reset(seed=0, options={"task_id": task_id, "user": user})
        steps = []
        for call in (says(" ".join(task.required_outputs)), *calls, says("Goodbye.")):
            steps.append(core.step({"name": call.name, "arguments": dict(call.arguments)}))
            if steps[-1][2] or steps[-1][3]:
                break
        done = f"the expected calls of {task_id} were made, its outputs said"
        if any(step[1] != 0.0 for step in steps[:-1]):
            yield Broken(done, f"rewards {[step[1] for step in steps]}", "0.0 on every step but the last", "")
        if steps[-1][3]:
            raise NotChecked(f"max_steps is too small for the expected calls of {task_id}")
        last = steps[-1][1], getattr(steps[-1][4].get("feedback"), "reward", None)
        if last != (1.0, 1.0):
            yield Broken(
                done,
                f"reward {last[0]}, feedback.reward {last[1]}",
                "1.0",
                "Are the tools functions of the database and their arguments alone?",
            )


class _Failing(User):
    """Fails in one place."""

    kind = "scripted"

    def __init__(self, where: str, how: object) -> None:
        self._where, self._how = where, how

    def begin(self, scene: Scene) -> UserSession:
        if self._where == "begin" and isinstance(self._how, Exception):
            raise self._how
        return _FailingSession(self._where, self._how)


class _FailingSession(UserSession):
    """Returns what no session may, too."""

    def __init__(self, where: str, how: object) -> None:
        self._where, self._how = where, how

    def open(self, scene: Scene) -> Any:
        return self._turn("open", Say("Good day."))

    def reply(self, scene: Scene) -> Any:
        return self._turn("reply", Stop())

    def fill_survey(self, scene: Scene) -> Any:
        return self._turn("fill_survey", None)

    def _turn(self, name: str, usual: Any) -> Any:
        if name != self._where:
            return usual
        if isinstance(self._how, Exception):
            raise self._how
        return self._how


FAILURES: tuple[tuple[str, object, str], ...] = (
    ("begin", RuntimeError("no such model"), "error"),
    ("open", UserSideError("no answer", kind="timeout"), "timeout"),
    ("open", Stop("No."), "stopped_at_open"),
    ("open", None, "bad_reply"),
    ("reply", RuntimeError("no answer"), "error"),
    ("reply", Abandoned("The person left."), "abandoned"),
    ("reply", "words that are no Say", "bad_reply"),
)
"""Where a user side fails, how, and the kind that the failure has."""


def failures(subject: Subject) -> Iterator[Broken]:
    """An episode that failed is not scored: valid is false, no reward, and the next one begins as usual."""
    for where, how, kind in FAILURES:
        done = f"{where} of the user side gave {shown(how)}"
        _, info = subject.start(_Failing(where, how))
        if where != "reply" and (info.get("valid") is not False or _kind(info) != kind):
            yield Broken(
                f"reset, when {done}",
                f"valid={info.get('valid')}, failure {_kind(info)!r}",
                f"valid=False, failure {kind!r}",
                _BELOW,
            )
        yield from _unscored(subject.step(says("Hello!")), done, kind, subject)
    subject.start(TALKER)
    info = subject.core.fail(Failure("agent", "outage", "The agent's model did not answer."))
    yield from _unscored((None, 0.0, False, True, info), "the agent's side failed", "outage", subject)
    if subject.start(TALKER)[1].get("valid") is not True:
        yield Broken("the next reset", "valid is not True", "an ordinary episode", "Forget the failure in reset.")


def _kind(info: dict[str, Any]) -> Any:
    return getattr(info.get("failure"), "kind", None)


def _unscored(step: tuple[Any, ...], done: str, kind: str, subject: Subject) -> Iterator[Broken]:
    info = step[4]
    if (step[2], step[3]) != (False, True):
        yield Broken(done, f"terminated={step[2]}, truncated={step[3]}", "terminated=False, truncated=True", _BELOW)
    if info.get("valid") is not False:
        yield Broken(done, f"info['valid'] {info.get('valid')}", "False", "A failure is no evidence about the agent.")
    if _kind(info) != kind:
        yield Broken(done, f"info['failure'] {shown(info.get('failure'))}", f"a Failure of kind {kind!r}", _BELOW)
    feedback = info.get("feedback")
    rewards = getattr(feedback, "reward", 0.0), subject.core.trace().reward
    if rewards != (None, None):
        yield Broken(
            done,
            f"feedback.reward {rewards[0]}, trace.reward {rewards[1]}",
            "None and None",
            "Not scored is None, never 0.",
        )


def failing_survey(subject: Subject) -> Iterator[Broken]:
    """A survey that fails is missing, and costs the episode nothing."""
    for how in (RuntimeError("no answer"), None):
        subject.start(_Failing("fill_survey", how))
        info = subject.step(says("Hello!"))[4]
        feedback = info.get("feedback")
        if not isinstance(feedback, Feedback) or feedback.reward is None or feedback.survey is not None:
            yield Broken(
                f"fill_survey of the user side gave {shown(how)}",
                shown(feedback),
                "a scored episode without a survey",
                _BELOW,
            )
