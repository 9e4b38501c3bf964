from __future__ import annotations

import builtins
import html.parser
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from usersim_env.errors import InstallError, UsageError
from usersim_env.feedback.values import Failure
from usersim_env.gap import ComparisonWarning, GapResult, GapSettings, compare, plot_style, print_tables, write_report
from usersim_env.gap.sections import sections
from usersim_env.gap.wording import signed
from usersim_env.traces.trace import Seat, Terms

FAST = GapSettings(replicates=500)
EVIL = '<script>alert("x")</script>'


def result_of(make: Any, other: Seat | None = None) -> GapResult:
    return compare(make.drawn(make.SIM, 8, 2, 0.8, 1), make.drawn(other or make.REFERENCE, 8, 2, 0.4, 2), FAST)


def printed(result: GapResult, width: int = 120, note: str | None = None) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    print_tables(result, console, note)
    return console.export_text()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the bitmaps out, which take most of a report's time."""
    monkeypatch.setattr(plot_style, "png", lambda draw, dark=False: b"")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, make: Any) -> Path:
    return write_report(result_of(make), tmp_path_factory.mktemp("report") / "new", note="The gap is planted.")


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value is not None]


def tags(page: Path) -> _Tags:
    parser = _Tags()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_a_report_is_a_page_with_plots_and_numbers(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for words in ("The gap is planted.", "Both user sides are synthetic", "reference − simulated", "Privileged agent"):
        assert words in text
    names = {
        f"{name}{end}"
        for name in ("gap", "success", "calibration", "behaviour", "survey")
        for end in (".png", "-dark.png", ".svg")
    }
    assert {path.name for path in page.parent.iterdir()} == names | {
        "index.html",
        "gap.json",
        "numbers.csv",
        "report.md",
    }
    numbers = json.loads((page.parent / "gap.json").read_text(encoding="utf-8"))
    assert numbers["note"] == "The gap is planted."
    assert numbers["gaps"]["rule"]["gap"]["estimate"] < 0


def test_the_page_asks_for_nothing_from_outside(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//\w|@import|url\((?!#)", text)
    assert not {"script", "link", "iframe", "object"} & set(tags(page).names)


def test_ids_are_unique_and_references_resolve(page: Path) -> None:
    ids = tags(page).ids
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r'(?:url\(|href=")#([\w-]+)', page.read_text(encoding="utf-8")))
    assert wanted and wanted <= set(ids)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["index.html", "report.md", "gap.json", "gap-dark.png"])
def test_a_file_of_somebody_else_is_not_replaced(name: str, make: Any, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(
        UsageError, match=rf"{name} would be replaced, and there is no report beside it.*another folder"
    ):
        write_report(result_of(make), tmp_path)
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [(name, "mine")]


def test_a_report_that_was_broken_off_is_written_again(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(draw: object, dark: bool = False) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(plot_style, "png", stop)
    with pytest.raises(KeyboardInterrupt):
        write_report(result_of(make), tmp_path)
    monkeypatch.setattr(plot_style, "png", lambda draw, dark=False: b"")
    for _ in range(2):
        assert write_report(result_of(make), tmp_path).exists()


@pytest.mark.usefixtures("quick")
def test_everything_from_outside_is_escaped(make: Any, tmp_path: Path) -> None:
    evil = Seat("agenda", EVIL)
    changes: dict[str, Any] = {"agent": Seat("agent", EVIL), "terms": Terms(EVIL), "texts": [EVIL, EVIL]}
    sim = make.side(evil, [[1.0], [0.0]], signals={EVIL: 0.5}, **changes)
    reference = make.side(make.REFERENCE, [[1.0], [1.0, None]], signals={EVIL: 0.25}, **changes)
    with pytest.warns(ComparisonWarning):
        result = compare(sim, [*reference, make.trace(0, make.REFERENCE, 8, agent=Seat("agent", "b"))], FAST)
    page = write_report(result, tmp_path, note=EVIL)
    assert "script" not in tags(page).names
    assert page.read_text(encoding="utf-8").count("&lt;script&gt;") >= 8


@pytest.mark.usefixtures("quick")
def test_lone_surrogates_and_dollars_do_no_harm(make: Any, tmp_path: Path) -> None:
    sides = [
        make.side(user, [[1.0], [0.0]], texts=["a \ud800 b", "x"], signals={"cost in $ or $": 0.5})
        for user in (make.SIM, make.REFERENCE)
    ]
    page = write_report(compare(sides[0], sides[1], FAST), tmp_path)
    assert "cost in $ or $" in page.read_text(encoding="utf-8")


@pytest.mark.usefixtures("quick")
def test_differences_are_printed_loudly(make: Any, tmp_path: Path) -> None:
    with pytest.warns(ComparisonWarning):
        result = compare(
            make.side(make.SIM, [[1.0], [0.0]]), make.side(make.REFERENCE, [[1.0], [0.0]], max_steps=30), FAST
        )
    assert "Not the same max_steps" in write_report(result, tmp_path).read_text(encoding="utf-8")
    assert "Not the same max_steps" in printed(result)


@pytest.mark.parametrize("width", [80, 140])
def test_tables_fit_and_say_who_is_who(make: Any, width: int) -> None:
    text = printed(result_of(make), width, "A note [brackets].")
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for words in ("A note [brackets].", "(synthetic)", "Gap (reference − simulated)", "simulated higher", "16 scored"):
        assert words in text
    assert "human" not in text.replace("humanlike", "").replace("human_like", "")


@pytest.mark.usefixtures("quick")
def test_people_are_called_human_and_the_gap_real(make: Any, tmp_path: Path) -> None:
    result = result_of(make, make.HUMAN)
    text = printed(result)
    assert "Gap (real − simulated)" in text
    assert "participant" not in text + write_report(result, tmp_path).read_text(encoding="utf-8")


@pytest.mark.usefixtures("quick")
def test_nan_never_appears(make: Any, tmp_path: Path) -> None:
    sim = make.side(make.SIM, [[1.0], [1.0]], survey={"reuse": "Maybe"}, texts=[])
    reference = [
        make.trace(0, make.REFERENCE, texts=[], survey={"reuse": "No"}),
        make.trace(1, make.REFERENCE, texts=[]),
    ]
    result = compare(sim, reference, FAST)
    page = write_report(result, tmp_path)
    everything = (
        page.read_text(encoding="utf-8") + (tmp_path / "gap.json").read_text(encoding="utf-8") + printed(result)
    )
    assert not re.search(r"\bnan\b", everything, re.IGNORECASE)
    assert "(one task)" in everything
    assert "Not shown: on every paired task" in everything


RESTRICTED = Terms("gated: for research only", training=False)


@pytest.mark.usefixtures("quick")
def test_restricted_text_is_shown_on_request_only_and_under_its_terms(make: Any, tmp_path: Path) -> None:
    secret = "my secret words"
    reference = make.side(make.HUMAN, [[1.0], [0.0]], terms=RESTRICTED, texts=[secret])
    result = compare(make.side(make.SIM, [[1.0], [1.0]]), reference, FAST)
    write_report(result, tmp_path / "plain")
    write_report(result, tmp_path / "asked", excerpts=True)
    plain, asked = (
        {path.name: path.read_bytes().decode() for path in (tmp_path / name).iterdir()} for name in ("plain", "asked")
    )
    assert not [name for name, text in plain.items() if secret in text]
    assert "--excerpts shows them" in plain["index.html"]
    assert [name for name, text in asked.items() if secret in text] == ["index.html"]
    banner = "Restricted text, shown on request.</strong> Terms: gated: for research only"
    assert banner in asked["index.html"] and banner not in plain["index.html"]


@pytest.mark.usefixtures("quick")
def test_five_conversations_stand_side_by_side(make: Any, tmp_path: Path) -> None:
    result = result_of(make)
    page = write_report(result, tmp_path)
    assert tags(page).names.count("details") == 5 == len(result.examples)
    differences = [example.difference for example in result.examples]
    assert differences == sorted(differences, reverse=True)


@pytest.mark.usefixtures("quick")
def test_the_page_holds_every_section_and_labels_cells_for_narrow_screens(make: Any, tmp_path: Path) -> None:
    text = write_report(result_of(make), tmp_path).read_text(encoding="utf-8")
    titles = [section.title for section in sections(result_of(make))]
    assert len(titles) == 6
    places = [text.index(f">{title}</h") for title in titles]
    assert places == sorted(places)
    assert "With 8 tasks you can see gaps of" in text
    folded = text.count('data-head="')
    assert folded >= sum(len(s.rows) * (len(s.heads) - 1) for s in sections(result_of(make)))


@pytest.mark.usefixtures("quick")
def test_abandoned_and_unmatched_are_printed(make: Any, tmp_path: Path) -> None:
    left = make.trace(1, make.HUMAN, 5, None, failure=Failure("user", "abandoned", "left"))
    reference = [*make.side(make.HUMAN, [[1.0], [0.0]]), make.trace(12, make.HUMAN), left]
    result = compare(make.side(make.SIM, [[1.0], [1.0], [1.0]]), reference, FAST)
    text = " ".join(printed(result, 300).split())
    assert "Abandoned by the person: 0 simulated (0.0%), 1 human (25.0%)" in text
    assert "1 task on the human side only (mock/test/12)" in text
    assert "user/abandoned 1" in text
    assert "Abandoned by the person" in write_report(result, tmp_path).read_text(encoding="utf-8")


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_what_is_not_installed_is_named_with_what_to_type(
    make: Any, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def lean(name: str, *args: Any, **keywords: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *args, **keywords)

    result = result_of(make)
    monkeypatch.setattr(builtins, "__import__", lean)
    with pytest.raises(InstallError, match=rf'need.? {package}.*pip install "usersim_env\[plot\]"'):
        write_report(result, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.000"), (-0.5, "−0.500"), (0.1234, "+0.123"), (-0.0003, "−0.0003"), (1e-17, "0.000")]
)
def test_differences_show_their_sign(value: float, text: str) -> None:
    assert signed(value) == text
