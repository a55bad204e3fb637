"""Logs of live streams: one schema of Parquet tables, and the samples that a model trains on."""

from __future__ import annotations

from importlib.util import find_spec

from mmbee_plugin.errors import InputError


def check_installed() -> None:
    """Raises InputError without polars, which everything here but this function needs."""
    if find_spec("polars") is None:
        raise InputError("logs of live streams need polars: pip install 'mmbee-plugin[logs]'")
