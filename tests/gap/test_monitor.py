"""The monitor on real episodes: when it looks, what it plays, what it warns of, and what it keeps."""

from __future__ import annotations

import dataclasses
import inspect
import json
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import pytest

from usersim_env import ScriptedUser
from usersim_env.agent import Action, AgentSession, Observation
from usersim_env.baselines import Oracle, Silent
from usersim_env.conversation.scene import Scene
from usersim_env.errors import UnknownName, UsageError, UserSideError
from usersim_env.feedback.survey import label_for
from usersim_env.gap import ComparisonWarning, GapMonitor, History, MonitorSettings, MonitorWarning
from usersim_env.traces.trace import Terms
from usersim_env.users.base import User, UserSession

BEST, WORST = (label_for("overall_score", level) for level in (1.0, 0.0))
RETAIL = [f"retail/test/{i}" for i in range(24)]
MOCK = [f"mock/test/{i}" for i in range(4)]
SIM = ScriptedUser(("Hello from the simulator.",))
REFERENCE = ScriptedUser(("Good morning.",))
ONCE = MonitorSettings(every=10, episodes=1, start_episodes=1)


@dataclasses.dataclass(frozen=True)
class Overfitted:
    """Plays what is expected, but for a user side that does not say "simulator" only on the tasks up to `limit`."""

    limit: int = 24
    faults: tuple[str, ...] = ()
    seen: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    name: ClassVar[str] = "overfitted"
    privileged: ClassVar[bool] = True

    def begin(self, info: Mapping[str, Any], seed: int) -> AgentSession:
        self.seen.append((info["task_id"], seed))
        if info["task_id"] in self.faults:
            raise RuntimeError("no")
        able = int(info["task_id"].split("/")[-1]) < self.limit
        return _Session(Oracle().begin(info, seed), Silent().begin(info, seed), able)

    def describe(self) -> dict[str, Any]:
        return {}


class _Session:
    def __init__(self, good: AgentSession, bad: AgentSession, able: bool) -> None:
        self._good, self._bad, self._able = good, bad, able
        self._chosen: AgentSession | None = None

    def act(self, observation: Observation) -> Action:
        if self._chosen is None:
            self._chosen = self._good if self._able or "simulator" in observation["content"] else self._bad
        return self._chosen.act(observation)


def factory(domain: str, user: User) -> Callable[[], gym.Env[Any, Any]]:
    return lambda: gym.make(f"Tau{domain}-v0", user=user)


def monitor(
    tasks: list[str] = RETAIL,
    settings: MonitorSettings = ONCE,
    users: tuple[User, User] = (SIM, REFERENCE),
    **more: Any,
) -> GapMonitor:
    domain = tasks[0].split("/")[0].title()
    sim, reference = (factory(domain, user) for user in users)
    return GapMonitor(sim, reference, tasks, settings, **more)


@pytest.fixture(autouse=True)
def _few_tasks_are_fine_here() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="With [34] tasks no alarm")
        yield


# -- looking -----------------------------------------------------------------------------------------------------------


def test_it_looks_at_once_and_then_at_the_interval() -> None:
    watched = monitor(MOCK)
    looked = [step for step in range(35) if watched.maybe_look(step, Silent()) is not None]
    assert looked == [0, 10, 20, 30] == [look.step for look in watched.looks]


def test_late_steps_do_not_shift_what_is_due() -> None:
    watched = monitor(MOCK)
    assert [step for step in (3, 12, 13, 40, 49, 50) if watched.maybe_look(step, Silent())] == [3, 13, 40, 50]


def test_steps_count_upwards() -> None:
    watched = monitor(MOCK)
    watched.look(5, Silent())
    played = Overfitted()
    with pytest.raises(UsageError, match="A look at step 5 cannot follow one at step 5"):
        watched.look(5, played)
    assert played.seen == []


def test_overfitting_to_the_simulator_raises_the_alarm() -> None:
    watched = monitor()
    looks = [watched.look(step, Overfitted(limit)) for step, limit in enumerate((24, 24, 22, 0))]
    assert [look.alarm for look in looks] == [False, False, False, True]
    assert watched.grown
    assert [look.success for look in looks[:2]] == [(1.0, 1.0)] * 2
    last = looks[-1]
    assert last.success is not None and last.success[0] == 1.0 and last.success[1] < 0.2
    assert last.gap is not None and last.growth is not None
    assert last.gap.estimate == pytest.approx(last.success[1] - 1.0)
    assert last.growth.estimate == pytest.approx(1.0 - last.success[1])


def test_a_gap_that_is_there_from_the_start_and_shrinks_raises_none() -> None:
    watched = monitor()
    for step, limit in enumerate((0, 0, 12, 24)):
        assert not watched.look(step, Overfitted(limit)).alarm
    assert not watched.grown


def test_the_first_look_plays_more_and_every_episode_is_fresh() -> None:
    agent = Overfitted()
    watched = monitor(MOCK, MonitorSettings(every=1, episodes=2))
    watched.look(0, agent)
    assert len(agent.seen) == 2 * 4 * 8
    half = len(agent.seen) // 2
    assert agent.seen[:half] == agent.seen[half:], "the same seeds on both sides"
    assert len(set(agent.seen[:half])) == half
    watched.look(1, agent)
    assert len(agent.seen) == 2 * 4 * (8 + 2)
    assert len(set(agent.seen)) == 4 * (8 + 2)
    assert len({seed for _, seed in agent.seen}) == 4 * (8 + 2), "tasks share no seed"


def test_the_same_settings_see_the_same() -> None:
    one, two = monitor(MOCK), monitor(MOCK)
    for watched in (one, two):
        watched.look(0, Overfitted(2))
    assert one.to_json() == two.to_json()


def test_numbers_for_a_training_log() -> None:
    told: list[dict[str, float]] = []
    watched = monitor(MOCK, on_look=told.append)
    watched.look(0, Overfitted(4))
    watched.look(1, Overfitted(1))
    assert [type(value) for numbers in told for value in numbers.values()].count(float) == sum(map(len, told))
    assert "growth" not in told[0]
    assert told[1]["sim"] == 1.0 and told[1]["gap"] == told[1]["reference"] - 1.0 == -told[1]["growth"]
    assert told[1]["gap_low"] <= told[1]["gap"] <= told[1]["gap_high"]
    assert (told[1]["step"], told[1]["tasks"], told[1]["alarm"], told[1]["sim_failed"]) == (1, 4, 0, 0)


def test_another_signal_can_be_watched() -> None:
    pleased = dataclasses.replace(SIM, answers={"overall_score": BEST})
    annoyed = dataclasses.replace(REFERENCE, answers={"overall_score": WORST})
    watched = monitor(MOCK, dataclasses.replace(ONCE, signal="survey.overall_score"), (pleased, annoyed))
    assert watched.look(0, Silent()).numbers()["gap"] == -1.0


# -- failures ----------------------------------------------------------------------------------------------------------


def test_failed_episodes_are_left_out_and_counted() -> None:
    watched = monitor(MOCK)
    watched.look(0, Oracle())
    with pytest.warns(
        MonitorWarning, match="At step 1 25% of the episodes of the (simulated|reference) side have failed"
    ):
        look = watched.look(1, Overfitted(faults=(MOCK[1],)))
    assert look.sim.lost == {MOCK[1]: 1} and look.sim.failed == look.reference.failed == {"agent:error": 1}
    assert look.gap is not None and look.gap.n_tasks == 3
    assert look.success == (1.0, 1.0), "a failure is not a reward of 0"
    bounds = {"sim_low": 0.75, "sim_high": 1.0, "reference_low": 0.75, "reference_high": 1.0}
    assert look.bounds() == bounds | {"gap_lowest": -0.25, "gap_highest": 0.25}
    assert look.numbers().items() >= bounds.items()
    assert History.from_json(watched.to_json()).looks == watched.looks


def test_failures_of_the_agent_can_count_as_0() -> None:
    watched = monitor(MOCK, dataclasses.replace(ONCE, agent_failures="zero"))
    watched.look(0, Oracle())
    look = watched.look(1, Overfitted(faults=(MOCK[1],)))
    assert look.success == (0.75, 0.75) and look.sim.failed == {}
    with pytest.raises(UnknownName, match="Unknown agent_failures 'none'"):
        dataclasses.replace(ONCE, agent_failures="none")  # type: ignore[arg-type]


def test_a_first_look_without_scores_says_so() -> None:
    down = ScriptedUser((UserSideError("down", kind="outage"),))
    with pytest.raises(UsageError, match="None of the 4 episodes of the reference side is scored"):
        monitor(MOCK, users=(SIM, down)).look(0, Silent())
    with pytest.raises(UsageError, match=r"0 tasks have survey.mean .*no signal.*Find the cause before training"):
        monitor(MOCK, dataclasses.replace(ONCE, signal="survey.mean")).look(0, Silent())


def test_a_later_look_without_scores_warns_and_training_goes_on(tmp_path: Path) -> None:
    watched = monitor(MOCK)
    watched.look(0, Oracle())
    with (
        pytest.warns(MonitorWarning, match="100% of the episodes of the (simulated|reference) side have failed"),
        pytest.warns(MonitorWarning, match="0 tasks have rule on both sides .*agent:error.* counts for nothing"),
    ):
        look = watched.look(1, Overfitted(faults=tuple(MOCK)))
    assert look.gap is None and look.growth is None and look.success is None and not look.alarm
    assert look.numbers()["sim_low"] == 0.0 and look.numbers()["sim_high"] == 1.0, "said where all have failed, too"
    assert watched.look(2, Oracle()).gap is not None
    assert History.from_json(watched.to_json()).looks == watched.looks
    watched.plot(tmp_path / "gap.svg")


# -- warnings ----------------------------------------------------------------------------------------------------------


def test_tasks_of_the_training_split_warn() -> None:
    tasks = ["retail/train/0", "retail/train/1", *RETAIL]
    with pytest.warns(MonitorWarning, match=r"2 of 26 tasks are trained on \(retail/train/0, retail/train/1\)"):
        monitor(tasks)
    with pytest.warns(MonitorWarning, match=r"1 of 24 tasks are trained on \(retail/test/3\)"):
        monitor(settings=MonitorSettings(trained_on=["retail/test/3", "retail/train/0"]))


def test_a_domain_without_a_train_split_warns() -> None:
    tasks = [f"airline/test/{i}" for i in range(20)]
    with pytest.warns(MonitorWarning, match=r"airline has no train split.*trained_on="):
        monitor(tasks)
    monitor(tasks, MonitorSettings(trained_on=[]))
    monitor(tasks, MonitorSettings(trained_on=["airline/test/30"]))


def test_too_few_tasks_for_any_alarm_warn() -> None:
    with pytest.warns(MonitorWarning, match=r"With 9 tasks no alarm can come.*at least 10 tasks have to differ"):
        monitor(RETAIL[:9])
    monitor(RETAIL[:10])


class Forbidden(ScriptedUser):
    """A user side whose episodes are not for training."""

    def begin(self, scene: Scene) -> UserSession:
        session = super().begin(scene)
        session.terms = Terms("research only", training=False)
        return session


def test_steering_by_terms_that_forbid_training_warns_once() -> None:
    users = (SIM, Forbidden(("Good morning.",)))
    monitor(MOCK, users=users).look(0, Silent())
    steering = monitor(MOCK, dataclasses.replace(ONCE, steering=True), users)
    with pytest.warns(MonitorWarning, match=r"reference side may not be trained on \(research only; not for training"):
        steering.look(0, Silent())
    steering.look(1, Silent())


def test_sides_that_differ_in_more_than_the_user_side_warn() -> None:
    def short() -> gym.Env[Any, Any]:
        return gym.make("TauMock-v0", user=REFERENCE, max_steps=5)

    watched = GapMonitor(factory("Mock", SIM), short, MOCK, ONCE)
    with pytest.warns(ComparisonWarning, match="Not the same max_steps"):
        watched.look(0, Silent())


@pytest.mark.parametrize(
    ("tasks", "error", "message"),
    [
        ("mock/test/0", UsageError, "tasks is a list of task ids"),
        ([], UsageError, "tasks has 0; tasks are the sample"),
        (MOCK[:1], UsageError, "tasks has 1; tasks are the sample"),
        ([*MOCK, MOCK[2]], UsageError, "tasks names mock/test/2 more than once"),
        (["mock/test/99", MOCK[0]], UnknownName, "mock/test/99"),
    ],
)
def test_senseless_tasks(tasks: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GapMonitor(factory("Mock", SIM), factory("Mock", REFERENCE), tasks)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": 0}, "every is 0; expected an integer of at least 1"),
        ({"episodes": 1.5}, "episodes is 1.5; expected an integer"),
        ({"start_episodes": 0}, "start_episodes is 0"),
        ({"looks": 0}, "looks is 0"),
        ({"seed": -1}, "seed is -1; expected an integer of at least 0"),
        ({"level": 95}, "level is 95; expected a number between 0.5 and 1"),
    ],
)
def test_senseless_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MonitorSettings(**settings)


def test_an_env_of_another_kind() -> None:
    watched = GapMonitor(lambda: gym.make("CartPole-v1"), factory("Mock", REFERENCE), MOCK, ONCE)
    with pytest.raises(UsageError, match="returned CartPoleEnv; expected a TauEnv"):
        watched.look(0, Silent())


# -- what is kept ------------------------------------------------------------------------------------------------------


def played(**more: Any) -> GapMonitor:
    watched = monitor(**more)
    for step, limit in ((0, 24), (10, 12), (20, 0)):
        watched.look(step, Overfitted(limit, faults=(RETAIL[3],)))
    return watched


def test_json_there_and_back() -> None:
    watched = played()
    found = History.from_json(watched.to_json())
    assert found.looks == watched.looks and found.tasks == tuple(RETAIL) and found.settings == ONCE
    assert found.grown and found.to_json() == watched.to_json()
    records = [json.loads(line) for line in watched.to_json().splitlines()]
    assert [record["numbers"]["alarm"] for record in records[1:]] == [0.0, look_alarm(watched), 1.0]


def look_alarm(watched: GapMonitor) -> float:
    return float(watched.looks[1].alarm)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one line"),
        ("{", "Line 1 is not of a GapMonitor's history"),
        ("[]", "Line 1 is not of"),
        ('{"schema": 9, "tasks": [], "settings": {}}', "schema 9; known is 1"),
        ('{"schema": 1, "tasks": [], "settings": {"pace": 1}}', "Line 1 is not of .*pace"),
        ('{"schema": 1, "tasks": [], "settings": {}}\n{"step": 1}', "Line 2 is not of .*KeyError: 'sim'"),
    ],
)
def test_senseless_json(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        History.from_json(text)


def test_a_file_is_continued(tmp_path: Path) -> None:
    whole = played(file=tmp_path / "whole" / "gap.jsonl")
    assert (tmp_path / "whole" / "gap.jsonl").read_text(encoding="utf-8") == whole.to_json()
    file = tmp_path / "gap.jsonl"
    agents = [Overfitted(limit, faults=(RETAIL[3],)) for limit in (24, 12, 0)]
    for step, agent in zip((0, 10, 20), agents, strict=True):
        restarted = monitor(file=file, settings=dataclasses.replace(ONCE, every=5, steering=step > 5))
        assert restarted.maybe_look(step, agent) is not None
        assert restarted.maybe_look(step + 4, agent) is None
    assert restarted.looks == whole.looks and restarted.grown
    assert len({seed for agent in agents for _, seed in agent.seen}) == 3 * 24, "a restart repeats no episode"


def test_a_cut_line_is_looked_at_again(tmp_path: Path) -> None:
    file = tmp_path / "gap.jsonl"
    whole = played(file=file)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.warns(UserWarning, match="the last line was cut in the middle; it was moved to"):
        again = monitor(file=file)
    assert again.looks == whole.looks[:2]
    again.look(20, Overfitted(0, faults=(RETAIL[3],)))
    assert file.read_text(encoding="utf-8") == whole.to_json()


def test_a_file_cut_in_its_first_line_is_begun_again(tmp_path: Path) -> None:
    file = tmp_path / "gap.jsonl"
    file.write_text('{"schema": 1, "tasks": ["mo', encoding="utf-8")
    with pytest.warns(UserWarning, match="was cut in the middle"):
        watched = monitor(MOCK, file=file)
    watched.look(0, Silent())
    assert file.read_text(encoding="utf-8") == watched.to_json()


def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "thesis.txt"
    for text in ("Chapter one", "Chapter one\nIt was a dark and stormy ni", '{"schema": 1, "ta'):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=r"thesis\.txt is no history of a GapMonitor: it begins with b"):
            monitor(file=file)
        assert file.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [file]


def test_two_monitors_do_not_write_into_one_file(tmp_path: Path) -> None:
    file = tmp_path / "gap.jsonl"
    first, second = (monitor(MOCK, file=file) for _ in range(2))
    first.look(0, Silent())
    before = file.read_bytes()
    with pytest.raises(UsageError, match=r"gap\.jsonl has grown since it was last read.*another process"):
        second.look(0, Silent())
    assert file.read_bytes() == before
    first.look(5, Silent())
    assert file.read_text(encoding="utf-8") == first.to_json()


def test_a_file_that_was_removed_meanwhile_is_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "gap.jsonl"
    watched = monitor(MOCK, file=file)
    watched.look(0, Silent())
    file.unlink()
    watched.look(1, Silent())
    assert file.read_text(encoding="utf-8") == watched.to_json()


def test_a_file_of_another_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "gap.jsonl"
    monitor(MOCK, file=file).look(0, Silent())
    before = file.read_bytes()
    with pytest.raises(UsageError, match=r"history of another run: it has episodes=1, seed=0\."):
        monitor(MOCK, dataclasses.replace(ONCE, episodes=2, seed=1), file=file)
    with pytest.raises(UsageError, match="history of another run: it has tasks="):
        monitor(MOCK[:3], file=file)
    assert file.read_bytes() == before


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_plot(tmp_path: Path, ending: str) -> None:
    watched = played()
    watched.plot(tmp_path / "plots" / f"gap{ending}")
    content = (tmp_path / "plots" / f"gap{ending}").read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[ending])
    if ending == ".svg":
        text = content.decode()
        assert "|gap| has grown since the start" in text
        assert "reference − simulated, with a 95 % band" in text and "training step" in text


def test_what_cannot_be_plotted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to plot yet"):
        monitor(MOCK).plot(tmp_path / "gap.png")
    with pytest.raises(UsageError, match=r"ends in .png, .svg, .pdf; got 'gap.txt'"):
        monitor(MOCK).plot(tmp_path / "gap.txt")


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    text = inspect.getdoc(GapMonitor) or ""
    example = text.partition("::\n\n")[2].partition("\nArgs:")[0]
    exec(textwrap.dedent(example), {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["0", "50", "100"]
    assert (tmp_path / "gap.png").exists()
