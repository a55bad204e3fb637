"""One rule for names on command lines: ``-`` and ``_`` are the same in the name of an option or a setting."""

from __future__ import annotations


def plain(name: str) -> str:
    """``data-path`` -> ``data_path``, the form in which names are compared."""
    return name.replace("-", "_")


def spelled(argument: str) -> str:
    """``--data-path=a-b`` -> ``--data_path=a-b``; an argument that does not begin with ``--`` stays as it is."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    return f"--{plain(name)}{equals}{value}"
