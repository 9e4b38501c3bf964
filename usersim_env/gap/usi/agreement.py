"""Evaluative agreement: whether a simulator that reads a person's session rates it as the person did.

Source: arXiv:2603.11245. An answer that is missing or unknown becomes a random level, so that not answering does not
pay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from usersim_env.feedback.survey import FIELDS, Question
from usersim_env.gap.usi.sessions import ByTask, Session

SEED = 42
"""Of the random levels; one generator for each simulator, so the result does not change from run to run."""


def batch_agreements(human: Mapping[int, ByTask], rater: Mapping[int, ByTask]) -> dict[int, list[float]]:
    """Batch → the agreement of each of its sessions, from 0 to 100; only batches that have one.

    Args:
        human: people's sessions with their surveys.
        rater: surveys of the same sessions by a simulator; in those that it did not rate, all of its levels are random.
    """
    generator = np.random.default_rng(SEED)
    found = {}
    for batch, sessions in human.items():
        ratings = rater.get(batch, {})
        # Sorted by task: the random levels depend on the order.
        scores = [session_agreement(sessions[task], ratings.get(task), generator) for task in sorted(sessions)]
        found[batch] = [score for score in scores if score is not None]
    return {batch: scores for batch, scores in found.items() if scores}


def second_rating(human: ByTask, rating: ByTask) -> list[float]:
    """The same of a second person's rating, for each session that the person rated.

    As the authors' scorer has it: what was left open becomes a random level here as well, in the order of the file.
    """
    generator = np.random.default_rng(SEED)
    scores = [session_agreement(human[task], rated, generator) for task, rated in rating.items() if task in human]
    return [score for score in scores if score is not None]


def session_agreement(human: Session, rating: Session | None, generator: np.random.Generator) -> float | None:
    """100 times one minus the mean distance of the answers.

    Answers that the rating lacks are drawn from the generator. ``None`` if no answer is left to compare.
    """
    distances = []
    for name, question in FIELDS.items():
        answer = human.survey.get(name)
        if not known(question, answer):
            continue
        given = rating.survey.get(name) if rating is not None else None
        if known(question, given):
            distances.append(abs(question.normalised(str(answer)) - question.normalised(str(given))))
        else:
            distances.append(abs(question.normalised(str(answer)) - _random(question, generator)))
    return 100 * (1 - math.fsum(distances) / len(distances)) if distances else None


def known(question: Question, answer: object) -> bool:
    """Whether an answer is one of the form's labels."""
    return isinstance(answer, str) and answer in question.answers


def _random(question: Question, generator: np.random.Generator) -> float:
    levels = sorted(set(question.answers.values()))
    return (int(generator.choice(levels)) - levels[0]) / (levels[-1] - levels[0])
