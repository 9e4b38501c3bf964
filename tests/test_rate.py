"""A model rates recorded sessions: in the index's shape, resumable, never sent without a yes."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from usersim_env.cli import main, parser
from usersim_env.domains import get_task
from usersim_env.errors import ModelError, TraceError
from usersim_env.feedback.survey import FIELDS, QUESTIONS
from usersim_env.gap.usi.files import read_sessions, read_surveys
from usersim_env.importers.tau_usi import TERMS
from usersim_env.jsonl.claim import claimed
from usersim_env.llm import Completion, Model
from usersim_env.rating.rater import notice, read_recordings
from usersim_env.users.llm import LLMUser

pytestmark = pytest.mark.skipif(importlib.util.find_spec("litellm") is None, reason="litellm is not installed")

FORM = {q.field: list(q.answers)[-1] for q in QUESTIONS}
OUTAGE = ModelError("outage (status 503): try later", "outage", passes=True)
Asked = list[tuple[Model, dict[str, Any]]]


def session(index: int, words: str = "Hello, please help.", **fields: Any) -> dict[str, Any]:
    talk = [
        {"role": "user", "content": f"\\tau task_index:mock-{index} model:m"},
        {"role": "user", "content": words},
        {"role": "assistant", "content": "<|think|>a secret thought<|/think|>It is done."},
        {"role": "user", "content": "/stop"},
    ]
    return {"agent_id": "a", "conversation": talk, "reward": 0, "keep": True, **fields}


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty table of prices in the place of litellm, which is not imported here."""
    monkeypatch.setattr("usersim_env.llm.transport._litellm", lambda: SimpleNamespace(model_cost={}))


@pytest.fixture
def human(tmp_path: Path) -> Path:
    """Three sessions to rate, in two batches, and three that are left out."""
    found = {"mock_0": session(0), "mock_1": session(1), "mock_0_ann2": session(0, "Hi again.")}
    found |= {"mock_2": session(2, keep=False), "mock_77": session(77), "mock_3": {"conversation": "broken"}}
    path = tmp_path / "human.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Asked]:
    """Makes the model answer with the given items, then with a good form; returns what it is asked."""

    def install(*items: str | ModelError | BaseException) -> Asked:
        left, asked = list(items), []

        def send(model: Model, body: dict[str, Any]) -> Completion | ModelError:
            asked.append((model, body))
            item = left.pop(0) if left else json.dumps(FORM)
            if isinstance(item, str):
                return Completion(item, (), "stop", 1000, 50, 0.01)
            if isinstance(item, ModelError):
                return item
            raise item

        monkeypatch.setattr("usersim_env.llm.transport.send", send)
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        return asked

    return install


@pytest.fixture
def rated(human: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command on `human`; gives exit code, output and errors."""

    def run(*words: str, user: str = "llm:openai/m", file: Path = human) -> tuple[int, str, str]:
        given = ["rate", "--human", str(file), "--user", user, "--out", str(tmp_path / "s.json"), *words]
        code = main(given)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def surveys(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "s.json").read_bytes())
    return found


def test_the_file_is_what_the_index_reads(
    rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path, human: Path
) -> None:
    asked = answers()
    code, out, err = rated("--yes", "--json")
    assert code == 0 and "failed" not in err
    figures = json.loads(out)
    assert {name: figures[name] for name in ("sessions", "rated", "resumed", "left_out", "failed", "calls")} == {
        "sessions": 3, "rated": 3, "resumed": 0, "left_out": 3, "failed": {}, "calls": 3,
    }  # fmt: skip
    assert figures["cost"] == pytest.approx(0.03)
    content = surveys(tmp_path)
    assert list(content) == ["mock_0", "mock_1", "mock_0_ann2"]
    for entry in content.values():
        assert {name: found["answer"] for name, found in entry["survey"].items()} == FORM
        assert all(found.keys() == {"question", "answer"} for found in entry["survey"].values())
        assert entry["rating"]["model"] == "openai/m" and entry["rating"]["terms"] == TERMS.licence
    read = read_surveys(tmp_path / "s.json", "the raters")
    assert {batch: sorted(found) for batch, found in read.items()} == {1: ["mock_0", "mock_1"], 2: ["mock_0"]}
    assert dict(read[2]["mock_0"].survey) == FORM
    assert not (tmp_path / "s.json.part").exists()
    assert len(asked) == 3

    prompts = [body["messages"][0]["content"] for _, body in asked]
    assert all(get_task(f"mock/test/{i}").instruction in p for i, p in zip((0, 1, 0), prompts, strict=True))
    assert "Customer: Hello, please help.\nAgent: It is done." in prompts[0] and "Hi again." in prompts[2]
    assert not any("secret thought" in prompt for prompt in prompts)
    assert len({body["seed"] for _, body in asked}) == 3


def test_who_is_left_out_is_listed_with_the_reason(human: Path, rated: Callable[..., Any]) -> None:
    found = read_recordings(human)
    assert [s.key for s in found.sessions] == ["mock_0", "mock_1", "mock_0_ann2"]
    lines = {line.split(":")[0]: line for line in found.left_out if "broken" not in line}
    assert "marked keep: false" in lines["mock_2"]
    assert "no text of its task" in lines["mock_77"] and "mock/test/77" in lines["mock_77"]
    assert any("'mock_3'" in line and "expected list" in line for line in found.left_out)
    code, _, err = rated()
    assert code == 2 and len([line for line in err.splitlines() if line.startswith("left out: ")]) == 3


def test_seeds_depend_on_the_session_alone(human: Path, tmp_path: Path) -> None:
    seeds = {s.key: s.scene.seed for s in read_recordings(human).sessions}
    alone = tmp_path / "alone.json"
    alone.write_text(json.dumps({"mock_1": session(1)}), encoding="utf-8")
    assert read_recordings(alone).sessions[0].scene.seed == seeds["mock_1"]
    assert len(set(seeds.values())) == 3


def test_nothing_is_sent_without_a_yes(
    rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers()
    code, out, err = rated()
    assert (code, out, asked) == (2, "", []) and "Add --yes" in err

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for typed in ("", "\n", "no\n"):
        monkeypatch.setattr("sys.stdin", Terminal(typed))
        code, out, err = rated()
        assert (code, out, asked) == (0, "", []) and err.endswith("Send them? Type yes:\nNothing was sent.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["human.json"]
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    code, out, _ = rated()
    assert code == 0 and len(asked) == 3 and out.startswith("3 rated (0 with answers missing), failed: none; 0 were on")


def test_the_notice_says_what_goes_where_and_at_what_cost(human: Path) -> None:
    sessions = read_recordings(human).sessions
    text = notice(sessions, LLMUser(Model("openai/m", "http://me:secret@127.0.0.1:9/v1", prices=(1e-3, 1e-3))))
    assert text.startswith("3 sessions to rate: about ") and " tokens, about $" in text
    assert "go to openai/m at http://127.0.0.1:9/v1." in text and "secret" not in text
    assert f"Terms of 3 of them: {TERMS.licence}. Sending them there passes them on" in text
    elsewhere = notice(sessions, LLMUser(Model("openai/nobody-knows")))
    assert "price unknown" in elsewhere and "openai/nobody-knows at its provider's own address" in elsewhere


def test_terms_that_forbid_nothing_are_named_without_a_warning(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    assert main(["rollout", "--env", "TauMock-agenda-v0", "--agent", "clerk", "--out", str(out)]) == 0
    text = notice(read_recordings(out).sessions, LLMUser("openai/m"))
    assert "Terms of 4 of them: MIT" in text and "passes them on" not in text


def test_failures_are_listed_by_kind_and_asked_again(
    rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path
) -> None:
    refused = ModelError("refused_request: no", "refused_request")
    answers(json.dumps(FORM), refused, *["not a form"] * 2)
    code, out, err = rated("--yes")
    assert code == 0 and "failed: bad_reply 1, refused_request 1;" in out and "the same command asks again" in out
    assert "failed: mock_1: refused_request: no\n" in err
    assert "failed: mock_0_ann2: bad_reply: no answer of the form could be read\n" in err
    assert list(surveys(tmp_path)) == ["mock_0"]

    asked = answers()
    code, out, err = rated("--yes", "--json")
    figures = json.loads(out)
    assert (figures["resumed"], figures["rated"], len(asked)) == (1, 2, 2)
    assert list(surveys(tmp_path)) == ["mock_0", "mock_1", "mock_0_ann2"]

    before = (tmp_path / "s.json").read_bytes()
    asked = answers()
    code, out, err = rated()
    assert code == 0 and asked == [] and "0 rated" in out and "3 were on disk" in out, "no yes is needed for nothing"
    assert (tmp_path / "s.json").read_bytes() == before


def test_missing_answers_stay_missing(rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path) -> None:
    some = json.dumps({name: FORM[name] for name in list(FIELDS)[:3]})
    answers(some, json.dumps({"reuse": "Perhaps"}))
    code, out, _ = rated("--yes", "--limit", "1")
    assert code == 0 and out.startswith("1 rated (1 with answers missing)")
    assert list(surveys(tmp_path)["mock_0"]["survey"]) == list(FIELDS)[:3]
    asked = answers()
    rated("--yes", "--limit", "1")
    assert asked == []


def test_a_refused_key_ends_the_run(rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path) -> None:
    asked = answers(json.dumps(FORM), ModelError("auth (status 401): no", "auth"))
    code, out, _ = rated("--yes")
    assert code == 0 and "failed: auth 1, 1 not asked" in out and len(asked) == 2
    assert list(surveys(tmp_path)) == ["mock_0"]


def test_a_crash_loses_at_most_one_session(
    rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path
) -> None:
    part = tmp_path / "s.json.part"
    answers(json.dumps(FORM), json.dumps(FORM), KeyboardInterrupt())
    code, _, err = rated("--yes")
    assert code == 130 and "interrupted" in err
    assert len(part.read_bytes().splitlines()) == 2 and not (tmp_path / "s.json").exists()

    part.write_bytes(part.read_bytes()[:-20])
    asked = answers()
    with (
        pytest.warns(UserWarning, match="line 2 is not whole: that session is rated again"),
        pytest.warns(UserWarning, match=r"the last line was cut in the middle; it was moved to .*\.part\.cut"),
    ):
        code, out, _ = rated("--yes", "--json")
    assert (json.loads(out)["resumed"], len(asked)) == (1, 2)
    assert list(surveys(tmp_path)) == ["mock_0", "mock_1", "mock_0_ann2"]
    assert not part.exists()


def test_after_a_crash_the_next_line_is_whole(
    rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path
) -> None:
    part = tmp_path / "s.json.part"
    answers(json.dumps(FORM), KeyboardInterrupt())
    rated("--yes")
    part.write_bytes(part.read_bytes() + b'{"key": "mock_1", "ent')
    answers(json.dumps(FORM), KeyboardInterrupt())
    with pytest.warns(UserWarning, match="line 2 is not whole"), pytest.warns(UserWarning, match="moved to"):
        rated("--yes")
    assert [json.loads(line)["key"] for line in part.read_bytes().splitlines()] == ["mock_0", "mock_1"]


def test_a_file_of_progress_with_the_torn_line_of_an_older_version_is_read(
    rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path
) -> None:
    part = tmp_path / "s.json.part"
    answers(json.dumps(FORM), KeyboardInterrupt())
    rated("--yes")
    part.write_bytes(part.read_bytes()[:-9] + b"\n" + part.read_bytes().replace(b"mock_0", b"mock_1"))
    asked = answers()
    with pytest.warns(UserWarning, match="line 1 is not whole: that session is rated again"):
        rated("--yes")
    assert list(surveys(tmp_path)) == ["mock_0", "mock_1", "mock_0_ann2"] and len(asked) == 3


def test_two_commands_do_not_pay_for_the_same_sessions(
    rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = answers()
    with claimed(tmp_path / "s.json", "rate command"):
        code, out, err = rated("--yes")
    assert (code, out, asked) == (2, "", [])
    assert f"Another rate command is writing to {tmp_path}/s.json in this process" in err
    assert rated("--yes")[0] == 0 and len(asked) == 3


@pytest.mark.parametrize("name", ["s.json.part", "s.json.new"])
def test_the_files_beside_it_are_left_alone_where_they_are_somebody_elses(
    name: str, rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path
) -> None:
    (tmp_path / name).write_text("Chapter one, without an end", encoding="utf-8")
    asked = answers()
    code, _, err = rated("--yes")
    assert (tmp_path / name).read_text(encoding="utf-8") == "Chapter one, without an end"
    if name == "s.json.part":
        assert code == 2 and "s.json.part is no file of ratings in progress" in err and asked == []
    else:
        assert code == 0 and len(surveys(tmp_path)) == 3


def test_a_session_whose_text_has_changed_is_rated_again(
    rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path, human: Path
) -> None:
    answers()
    rated("--yes")
    content = json.loads(human.read_bytes())
    human.write_text(json.dumps(content | {"mock_1": session(1, "Something else.")}), encoding="utf-8")
    asked = answers(OUTAGE, OUTAGE, OUTAGE, OUTAGE, OUTAGE)
    _, out, _ = rated("--yes")
    assert len(asked) == 5 and "failed: outage 1" in out
    assert list(surveys(tmp_path)) == ["mock_0", "mock_0_ann2"], "the rating of the old text is gone"


def test_a_smaller_limit_keeps_what_there_is(
    rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path
) -> None:
    answers()
    rated("--yes")
    rated("--yes", "--limit", "1")
    assert len(surveys(tmp_path)) == 3


def test_another_models_ratings_are_not_mixed(
    rated: Callable[..., Any], answers: Callable[..., Asked], tmp_path: Path
) -> None:
    asked = answers(json.dumps(FORM), KeyboardInterrupt())
    rated("--yes")
    code, _, err = rated("--yes", user="llm:openai/other")
    assert code == 2 and "s.json.part" in err and "by 'openai/m', not by 'openai/other'. Name another --out" in err
    assert len(asked) == 2
    rated("--yes")
    code, _, err = rated("--yes", user="llm:openai/other")
    assert code == 2 and "not by 'openai/other'" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "no file of ratings"),
        ("{", "not JSON"),
        ('{"airline_0": {"survey": {}}}', "airline_0: not a rating that was made by this command"),
    ],
)
def test_a_file_of_another_kind_is_not_touched(
    content: str, message: str, rated: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "s.json").write_text(content, encoding="utf-8")
    code, _, err = rated("--yes")
    assert code == 2 and message in err and "Name another --out" in err
    assert (tmp_path / "s.json").read_text(encoding="utf-8") == content


def test_our_traces_get_the_names_that_the_index_gives_them(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    words = ["rollout", "--env", "TauMock-agenda-v0", "--agent", "clerk", "--episodes", "2", "--out", str(out)]
    assert main(words) == 0
    found = read_recordings(out).sessions
    assert sorted(s.key for s in found) == sorted(f"mock_{i}{end}" for i in range(4) for end in ("", "_ann2"))
    sessions = read_sessions(out, "llm", "traces").copies
    assert {(n, task) for n, batch in sessions.items() for task in batch} == {
        (2 if s.key.endswith("_ann2") else 1, s.key.removesuffix("_ann2")) for s in found
    }


def test_tau_benchs_runs_can_be_rated(shared: Path) -> None:
    found = read_recordings(shared / "tau" / "gpt-4o-airline-trial0.json")
    assert (len(found.sessions), len(found.left_out)) == (50, 0), "one ended at the step limit"
    assert {s.key for s in found.sessions} <= {f"airline_{i}" for i in range(50)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--limit", "0"), "--limit is at least 1, got 0"),
        (("--user", "human:ann"), "A user side is written llm:MODEL, or llm:model=MODEL,setting=value,…, for example "),
        (("--user", "llm:"), "A user side is written llm:MODEL"),
        (("--human", "nowhere.json"), "No file at nowhere.json"),
    ],
)
def test_bad_input(words: tuple[str, ...], message: str, rated: Callable[..., Any], answers: Any) -> None:
    code, out, err = rated("--yes", *words)
    assert (code, out) == (2, "") and message in err


def test_nothing_to_rate(tmp_path: Path, rated: Callable[..., Any]) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps({"mock_2": session(2, keep=False)}), encoding="utf-8")
    code, _, err = rated("--yes", file=file)
    assert code == 2 and "no session can be rated, 1 are left out. The first is mock_2: marked keep: false" in err
    file.write_text("[1]", encoding="utf-8")
    with pytest.raises(TraceError):
        read_recordings(file)


def test_help_shows_an_example_that_parses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["rate", "--help"])
    example = capsys.readouterr().out.split("example:")[1].split()
    assert parser().parse_args(example[1:]).command == "rate"
