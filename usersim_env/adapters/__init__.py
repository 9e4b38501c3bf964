"""Other people's training loops and servers around our environments, one file each.

A file imports its library when its class is first asked for, so that all of them can be imported without any.
What an episode is, and how one that is not scored is told apart from a reward of 0, is in `episode`.
"""

from usersim_env.adapters.episode import ChatEpisode, EpisodeSettings, Turn, tally_of
from usersim_env.adapters.tally import FailedEpisodesWarning, Tally

__all__ = ["ChatEpisode", "EpisodeSettings", "FailedEpisodesWarning", "Tally", "Turn", "tally_of"]
