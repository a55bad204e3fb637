"""Finds the settings that come with the package, ``recbole_configs`` and ``torchrec_configs``, from any folder."""

from __future__ import annotations

from pathlib import Path

import mmbee_plugin


def shipped(path: Path) -> Path:
    """``path`` if it is there, else the checkout's or the installed package's own, such as
    ``recbole_configs/paper.yaml``; ``path`` itself where none is."""
    package = Path(mmbee_plugin.__file__).parent
    return next((place for place in (path, package.parent / path, package / path) if place.exists()), path)
