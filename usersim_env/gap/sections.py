"""The parts of a report that are tables of text, made once for the terminal, the page and the appendix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from usersim_env.feedback.behaviour import DIMENSIONS
from usersim_env.gap.groups import GroupGap
from usersim_env.gap.judgement import ROWS, THRESHOLDS, Correlation, Judgement, Missed
from usersim_env.gap.likeness import Likeness
from usersim_env.gap.power import POWER
from usersim_env.gap.result import GapResult
from usersim_env.gap.usi.tables import shown
from usersim_env.gap.wording import MISSING, gap_cell, p_text, percent, rate_cell, signal_label


@dataclass(frozen=True)
class Section:
    """A table: its first column names the row.

    Attributes:
        key: short name, for anchors.
        title: in words.
        heads: of the columns.
        rows: as many cells each as there are heads.
        notes: sentences to stand below.
    """

    key: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def evidence(result: GapResult) -> Section:
    """Tests of every signal, and the gap that the data could have shown."""
    targets = list(result.rule.detectable.tasks_for) or ["0.05", "0.1", "0.2"]
    rows = []
    for row in result.gaps:
        test, seen = row.test, row.detectable
        least = f"{seen.gap:.3f}" if seen.gap is not None else f"{MISSING} ({seen.word.split(':')[0]})"
        needed = [str(seen.tasks_for.get(target, MISSING)) for target in targets]
        p, corrected = (p_text(test.p), p_text(test.p_holm)) if test else (MISSING, MISSING)
        rows.append((signal_label(row.signal), p, corrected, least, *needed))
    heads = ("signal", "p", "p (Holm)", "detectable gap", *(f"tasks for {target}" for target in targets))
    note = (
        f"p: sign-flip test over tasks, two-sided; Holm: corrected for the {len(result.gaps)} signals. Detectable gap: "
        f"found with {percent(POWER)} probability at {percent(1 - result.settings.level)}, (t₁ + t₂) · standard error, "
        "for one signal alone. Tasks for: how many a gap of that size needs, with as many episodes per task."
    )
    return Section("evidence", "Tests, and what could have been seen", heads, tuple(rows), (note,))


def detectable_sentence(result: GapResult) -> str:
    """The smallest gap of the rule reward that these tasks can show."""
    seen = result.rule.detectable
    if seen.gap is None:
        return f"How small a gap these {seen.n_tasks} tasks can show is unknown ({seen.word})."
    if seen.gap > 1:
        return f"With {seen.n_tasks} tasks no gap of the rule reward can be relied on to be seen: roll out more tasks."
    more = [f"{n} tasks for {target}" for target, n in seen.tasks_for.items() if float(target) < seen.gap]
    return (
        f"With {seen.n_tasks} tasks you can see gaps of {seen.gap:.3f} in the rule reward ({percent(POWER)} power at "
        f"{percent(1 - result.settings.level)}){'; it takes about ' + ', '.join(more) if more else ''}."
    )


def reliability(result: GapResult) -> Section:
    """pass^k of both sides."""
    rows = tuple(
        (f"pass^{row.k}", rate_cell(row.sim), rate_cell(row.reference), gap_cell(row.gap), str(row.n_tasks))
        for row in result.pass_k
    )
    note = (
        "pass^k: the chance of success in all of k episodes of a task (τ-bench), over tasks with k episodes per side."
    )
    if len(rows) == 1:
        note += " Only k = 1 can be told: fewer than two tasks have two episodes on both sides. Roll out more episodes."
    return Section("pass_k", "Reliability: pass^k", ("", *_heads(result), "gap", "tasks"), rows, (note,))


def by_difficulty(result: GapResult) -> Section:
    """Success per difficulty bin."""
    if result.settings.difficulty is None:
        note = (
            "Bins: success of the task pooled over both sides, so of the same episodes that they sort: with few "
            "episodes per task a bin's gap is partly arithmetic. A difficulty file from elsewhere avoids that."
        )
    else:
        left = len(result.pairing.tasks) - sum(row.n_tasks for row in result.bins)
        note = f"Bins: mean success of the task as given.{f' {left} tasks have none and are left out.' if left else ''}"
    return _groups("bins", "Success by difficulty", "success of the task", result, result.bins, note)


def by_domain(result: GapResult) -> Section:
    """The gap per domain."""
    note = "The gap above weights tasks, so a domain with more tasks weighs more."
    return _groups("domains", "Per domain", "domain", result, result.domains, note)


def cross_table(result: GapResult) -> Section:
    """Rule reward against what the user side says about success."""
    heads = [f"{label}, reward {x}" for label in _heads(result) for x in (0, 1)]
    rows = [(row, *(str(n) for side in result.judgement for n in side.table[row])) for row in ROWS]
    return Section("judgement", "Reward against judgement", ("judged", *heads), tuple(rows))


def missed(result: GapResult) -> Section:
    """What the reward misses, with counts."""
    rows: list[tuple[str, ...]] = []
    for index, threshold in enumerate(THRESHOLDS):
        both = [side.missed[index] for side in result.judgement]
        what = f"judged {threshold} or more"
        rows += [
            (f"reward 0, but {what}", *(_of(m.unrewarded, m.reward_0) for m in both)),
            (f"reward 1, but not {what}", *(_of(m.rewarded, m.reward_1) for m in both)),
            (f"agree ({what}; policy apart)", *(_agree(m) for m in both)),
        ]
    policy = [_of(side.missed[0].rewarded_policy, side.missed[0].reward_1) for side in result.judgement]
    rows.insert(2, ("reward 1, but refused by policy", *policy))
    note = "Counts are of episodes with an answer. Neither side is taken to be right."
    return Section("missed", "What the reward misses", ("", *_heads(result)), tuple(rows), (note,))


def correlations(result: GapResult) -> Section:
    """Rank correlation of the reward with every question."""
    sim, reference = (side.correlations for side in result.judgement)
    rows = tuple((_field(a.field), _rho(a), _rho(b)) for a, b in zip(sim, reference, strict=True))
    note = "Spearman's ρ over episodes, n in brackets; no interval, as episodes of one task are not independent."
    return Section("spearman", "Reward and feedback: rank correlation", ("question", *_heads(result)), rows, (note,))


def user_sim_index(found: Likeness) -> Section:
    """The User-Sim Index against the second side; never called an index of people where that side is not people."""
    title = "User-Sim Index" if found.against == "human" else "User-Sim Index: likeness to the reference"
    if found.sim is None:
        return Section("usi", title, ("", "simulated"), (("index", MISSING),), found.notes)
    table = [row for row in (found.sim, found.between) if row is not None]
    names = ("D1 style", "D2 information", "D3 clarification", "D4 reaction")
    rows = [(name, *(shown(row.dimension(key)) for row in table)) for name, key in zip(names, DIMENSIONS, strict=True)]
    rows.append(("ECE (an error)", *(shown(row.ece, 3) for row in table)))
    rows.append(("index (USI5)", *(shown(row.usi5) for row in table)))
    return Section("usi", title, ("", *(row.name for row in table)), tuple(rows), found.notes)


def has_answers(result: GapResult) -> bool:
    """Whether anybody answered any question."""
    return any(row.n for side in result.judgement for row in side.correlations)


def judged(found: Judgement) -> bool:
    """Whether anybody on a side judged the success."""
    return found.answered > 0


def sections(result: GapResult) -> list[Section]:
    """All that there is something to say in, in the order of reading."""
    found = [evidence(result), reliability(result), by_difficulty(result)]
    if len(result.domains) > 1:
        found.append(by_domain(result))
    if any(judged(side) for side in result.judgement):
        found += [cross_table(result), missed(result)]
    if has_answers(result):
        found.append(correlations(result))
    if result.usi is not None:
        found.append(user_sim_index(result.usi))
    return found


def _heads(result: GapResult) -> tuple[str, str]:
    return result.pairing.sim.label, result.pairing.reference.label


def _groups(key: str, title: str, head: str, result: GapResult, groups: Sequence[GroupGap], note: str) -> Section:
    rows = tuple(
        (row.name, rate_cell(row.sim), rate_cell(row.reference), gap_cell(row.gap), str(row.n_tasks)) for row in groups
    )
    return Section(key, title, (head, *_heads(result), "gap", "tasks"), rows, (note,))


def _of(n: int, total: int) -> str:
    return f"{n} of {total}" if total else f"{MISSING} (no such episode)"


def _agree(row: Missed) -> str:
    return f"{100 * row.agree:.1f} %" if row.agree is not None else f"{MISSING} (no answer)"


def _rho(row: Correlation) -> str:
    if row.rho is None:
        return f"{MISSING} ({row.word})"
    return f"{row.rho:+.2f} (n = {row.n})".replace("-", "−")


def _field(name: str) -> str:
    return name.replace("_", " ")
