"""The survey, filled in from what the session saw. All weights are assumptions."""

from __future__ import annotations

import numpy as np

from usersim_env.feedback.survey import Survey, label_for
from usersim_env.users.agenda.memory import Memory

_SPREAD = 0.12


def rate(memory: Memory, ended: str, rng: np.random.Generator) -> Survey:
    """Answers to all eight questions: from wishes served, repeats, errors, refusals and waiting, with some noise."""
    p = memory.persona
    trouble = min(1.0, memory.annoyance / memory.patience)
    success = _success(memory, ended)
    lift = p.leniency * (1.0 - success if p.leniency > 0 else success)
    overall = 0.65 * success + 0.35 * (1.0 - trouble) + 0.5 * lift
    per_wish = memory.turns / max(1, len(memory.goals))
    per_turn = memory.waited / max(1, memory.turns)
    centres = {
        "efficiency": 1.0 - 0.5 * trouble - 0.05 * max(0.0, per_wish - 4.0) - 0.02 * per_turn,
        "question_amount_preference": 1.0 - 0.9 * min(1.0, memory.repeats / 2.0),
        "answer_effort_time": 1.0 - 0.3 * min(1.0, memory.repeats / 2.0) - 0.04 * memory.turns,
        "human_like": p.human_like,
        "interaction_flow": overall - 0.1 * min(3, memory.errors),
        "overall_score": overall,
        "reuse": 0.8 * overall + 0.1,
    }
    noise = rng.normal(0.0, _SPREAD, len(centres))
    answers = {"task_success": _success_label(memory, success)}
    for (field, centre), shift in zip(centres.items(), noise.tolist(), strict=True):
        answers[field] = label_for(field, min(1.0, max(0.0, centre + shift)))
    return Survey(answers)


def _success(memory: Memory, ended: str) -> float:
    """Share of the wishes said that were served; a talk that it left early counts for less."""
    asked = max(1, len(memory.goals) - len(memory.replaced))
    return max(0.0, memory.n_served / asked - (0.4 if ended in ("fed_up", "refused") else 0.0))


def _success_label(memory: Memory, success: float) -> str:
    if success >= 0.99:
        return label_for("task_success", 0.75)
    if memory.refusals and not memory.served:
        return "No - Due to a policy issue, which the agent clearly explained"
    return label_for("task_success", 0.5 if success >= 0.3 else 0.0)
