"""Reads settings as YAML, alike on command lines and from files.

YAML 1.1 as in PyYAML (``yes`` and ``on`` are true), with two differences: ``1e-3`` is a number, as in RecBole's files,
and a duplicate key is an error.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from mmbee_plugin.command.spelling import plain
from mmbee_plugin.errors import InputError, one_line


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        names = [key.value for key in keys]
        for place, key in enumerate(keys):
            if key.value in names[:place]:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value!r} is there twice", problem_mark=key.start_mark
                )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


NAMES = frozenset({"modalities", "metapaths"})
"""settings that list names, kept as strings on a command line: ``--modalities=1,on``"""


def parse_value(text: str, source: str, names: bool = False) -> Any:
    """Parses the value of ``--key=text``. Raises InputError, prefixed with `source`, for invalid YAML.

    Args:
        names: whether the key is one of `NAMES`; null stays None.
    """
    try:
        return yaml.load(text, yaml.BaseLoader if names and text not in ("null", "~") else _Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InputError(f"{source}: the value is not valid YAML; quote it") from None


def read_mapping(path: Path) -> dict[str, Any]:
    """The settings in a file, {} for an empty one.

    Raises:
        InputError: with the file, and the line if known: it cannot be read, is not UTF-8 or YAML, is not a mapping, or
            has a duplicate key.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {one_line(error)}") from None
    except RecursionError:
        raise InputError(f"{path}: not valid YAML: nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:  # an impossible date is a ValueError
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(content, dict | None):
        raise InputError(f"{path}: should be lines of key: value, found a {type(content).__name__}")
    return content or {}


def replace_entry(content: dict[str, Any], override: str) -> None:
    """Sets the entry named by ``section.key=value``, its value in YAML; raises InputError for a malformed argument."""
    name, equals, text = override.removeprefix("--").partition("=")
    *sections, key = plain(name).split(".")
    if not equals:
        raise InputError(f"{override!r} is not understood; settings are written section.key=value")
    value = parse_value(text, repr(override), names=key in NAMES)
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise InputError(f"{override!r}: {section} is no section")
    content[key] = value
