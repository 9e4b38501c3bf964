"""Other people's recordings as traces, and traces in other people's formats.

In: ``tau-usi`` (the human study of arXiv:2603.11245), ``tau-bench`` (result files), ``simulation-run`` (τ²-bench),
``odyssim``, ``inspect`` (logs of Inspect), ``verifiers`` and ``openai`` (chat-completion messages). Out: ``openai`` and
``tau-usi``. See ``docs/importing.md``.
"""

from usersim_env.importers.episode import NOT_STATED, ImportSettings
from usersim_env.importers.export import TARGETS, export_file, refuse_training, to_openai, to_tau_usi
from usersim_env.importers.registry import (
    AUTO,
    FORMATS,
    ImportResult,
    import_files,
    import_to_file,
    read_file,
    recognised,
)

__all__ = [
    "AUTO",
    "FORMATS",
    "NOT_STATED",
    "TARGETS",
    "ImportResult",
    "ImportSettings",
    "export_file",
    "import_files",
    "import_to_file",
    "read_file",
    "recognised",
    "refuse_training",
    "to_openai",
    "to_tau_usi",
]
