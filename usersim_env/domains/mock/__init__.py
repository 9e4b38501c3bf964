"""A tiny repair shop of our own: three customers, three tools, a handful of tasks. Needs nothing installed.

Its tasks carry canary values in expected calls and required outputs, so that a leak of them is found by search.
"""

from usersim_env.domains.mock.shop import load

__all__ = ["load"]
