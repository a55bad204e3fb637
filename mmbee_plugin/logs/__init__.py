"""Logs of live streams: a schema of Parquet tables, and training samples made from them."""

from __future__ import annotations

from mmbee_plugin.command.extras import check_extra


def check_installed() -> None:
    """Raises InputError if polars, which all modules here need, is not installed."""
    check_extra("polars", "a log of live streams")
