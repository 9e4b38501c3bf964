"""What the scripts in this folder do with a mistake of whoever typed them: one line, and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from usersim_env.errors import UsersimError


def run_script(main: Callable[[], object]) -> None:
    """Runs a script's ``main`` and ends the program where it fails."""
    try:
        main()
    except (UsersimError, OSError) as error:
        print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
