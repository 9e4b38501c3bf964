"""The User-Sim Index of arXiv:2603.11245.

::

    from usersim_env.gap.usi import user_sim_index

    result = user_sim_index("human.json", {"mine": "runs/mine.jsonl"}, difficulty="difficulty.json")
    for row in result.rows:
        print(row.name, row.usi)
"""

from usersim_env.gap.usi.index import user_sim_index
from usersim_env.gap.usi.result import HUMAN, Scores, UsiResult, UsiRow
from usersim_env.gap.usi.tables import print_usi

__all__ = ["HUMAN", "Scores", "UsiResult", "UsiRow", "print_usi", "user_sim_index"]
