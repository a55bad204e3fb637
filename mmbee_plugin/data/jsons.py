"""Reads JSON objects of unknown origin, with one-line errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmbee_plugin.errors import InputError, one_line


def read_object(path: Path, needed: str = "a JSON object") -> dict[str, Any]:
    """Reads the JSON object in a file.

    Raises InputError if the file is unreadable, no JSON, or no object; ``needed`` describes the object in the message.
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON: {one_line(error)}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: {needed} is needed")
    return value
