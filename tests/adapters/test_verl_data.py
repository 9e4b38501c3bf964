"""What verl reads beside the interaction: rows and the reward function. Needs no verl."""

from __future__ import annotations

import pytest

from usersim_env.adapters import EpisodeSettings, verl
from usersim_env.errors import NotScored


def test_the_reward_function() -> None:
    assert verl.compute_score("tau", "", None, {"turn_scores": [1.0]}) == 1.0
    assert verl.compute_score("tau", "", None, {"turn_scores": []}, unfinished=-1.0) == -1.0
    with pytest.raises(
        NotScored, match=r"verl cut the sequence .* set custom_reward_function\.reward_kwargs\.unfinished"
    ):
        verl.compute_score("tau", "", None, {"turn_scores": []})


def test_rows_stop_at_a_dead_user_side(dead: EpisodeSettings) -> None:
    with pytest.raises(NotScored, match="Nobody there"):
        verl.rows({"name": "tau", "env_id": dead.env_id, "keywords": dead.keywords}, ["mock/test/0"], [0])
