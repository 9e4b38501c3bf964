"""Wrappers around the environments: one wrapper, one file.

Installed as ``usersim_env.wrappers``; the top-level folder is only where people look for it.

Raises:
    ImportError: when it is imported as a top-level package, which would give every class a second identity.
"""

if __name__ == "wrappers":
    raise ImportError("import usersim_env.wrappers, not wrappers")
