"""YAML of settings, read in one way on every command line and from every file.

YAML 1.1 as PyYAML has it (``yes`` and ``on`` are true), with two differences: ``1e-3`` is a number, as RecBole's own
files take it, and a key that stands twice is an error instead of the later one in silence.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

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
"""Settings that list names, which on a command line are not read as numbers or truth values: ``--modalities=1,on``."""


def parse_value(text: str, source: str, names: bool = False) -> Any:
    """The value that ``--key=text`` gives; InputError with `source` in front where it is not valid YAML.

    Args:
        names: whether it is of `NAMES`; null still means none.
    """
    try:
        return yaml.load(text, yaml.BaseLoader if names and text not in ("null", "~") else _Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InputError(f"{source}: the value is not valid YAML; quote it") from None


def read_mapping(path: Path) -> dict[str, Any]:
    """The settings in a file, {} for an empty one.

    Raises:
        InputError: naming the file, and the line where it can: it cannot be read, is not UTF-8 or YAML, holds no
            ``key: value`` lines or a key twice.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {one_line(error)}") from None
    except RecursionError:
        raise InputError(f"{path}: not valid YAML: nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:  # a date that no calendar has is a ValueError
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(content, dict | None):
        raise InputError(f"{path}: should be lines of key: value, found a {type(content).__name__}")
    return content or {}
