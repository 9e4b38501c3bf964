"""The numbers of a comparison as JSON values; what is missing is ``null``, never NaN."""

from __future__ import annotations

import dataclasses
from typing import Any

from usersim_env.gap.bootstrap import Interval
from usersim_env.gap.judgement import Judgement
from usersim_env.gap.pairing import Pairing
from usersim_env.gap.sides import Side
from usersim_env.gap.unscored import UnscoredBounds

JsonDict = dict[str, Any]


def interval_dict(interval: Interval) -> JsonDict:
    """Estimate, ends, standard error, number of tasks, and the word of an interval that is none."""
    return dataclasses.asdict(interval)


def side_dict(side: Side, success: Interval) -> JsonDict:
    """Who sat on a side, how often, and how it went."""
    return {
        "role": side.role,
        "label": side.label,
        "synthetic": side.synthetic,
        "user_sides": list(side.user_sides),
        "agents": list(side.agents),
        "privileged_agents": list(side.privileged_agents),
        "terms": list(side.terms),
        "episodes": len(side.traces),
        "scored": side.n_scored,
        "failed": len(side.traces) - side.n_scored,
        "left_out": side.left_out,
        "failures": [dataclasses.asdict(count) for count in side.failures],
        "abandoned": side.n_abandoned,
        "abandonment_rate": side.abandonment_rate,
        "success": interval_dict(success),
    }


def pairing_dict(pairing: Pairing) -> JsonDict:
    """Which tasks were compared, which not, and what was checked."""
    return {
        "paired": list(pairing.tasks),
        "only_sim": list(pairing.only_sim),
        "only_reference": list(pairing.only_reference),
        "unscored": list(pairing.unscored),
        "checks": [{**dataclasses.asdict(check), "same": check.same} for check in pairing.checks],
        "warnings": list(pairing.warnings),
    }


def judgement_dict(found: Judgement) -> JsonDict:
    """Cross table (row → [reward 0, reward 1]), where reward and judgement part, and correlations by question."""
    return {
        "table": {row: list(counts) for row, counts in found.table.items()},
        "missed": {f"at_least_{row.threshold}": dataclasses.asdict(row) for row in found.missed},
        "spearman": {row.field: dataclasses.asdict(row) for row in found.correlations},
    }


def bounds_dict(bounds: UnscoredBounds) -> JsonDict:
    """The bounds, each an interval."""
    return dataclasses.asdict(bounds)
