"""The gap between two user sides: pairing, intervals, and a report.

::

    from usersim_env.gap import compare, write_report

    result = compare("sim.jsonl", "reference.jsonl")
    print(result.rule.gap.estimate, result.rule.finding)
    write_report(result, "runs/gap")
"""

from usersim_env.feedback.behaviour import behaviour_features
from usersim_env.gap.bootstrap import Interval
from usersim_env.gap.groups import read_difficulty
from usersim_env.gap.monitor import GapMonitor
from usersim_env.gap.monitor_history import History, Look, MonitorSettings
from usersim_env.gap.monitor_tasks import MonitorWarning
from usersim_env.gap.pairing import ComparisonWarning, Pairing, pair
from usersim_env.gap.report import write_report
from usersim_env.gap.result import GapResult, GapSettings, SignalGap
from usersim_env.gap.reward_gap import compare
from usersim_env.gap.tables import print_tables

__all__ = [
    "ComparisonWarning",
    "GapMonitor",
    "GapResult",
    "GapSettings",
    "History",
    "Interval",
    "Look",
    "MonitorSettings",
    "MonitorWarning",
    "Pairing",
    "SignalGap",
    "behaviour_features",
    "compare",
    "pair",
    "print_tables",
    "read_difficulty",
    "write_report",
]
