"""Logs of live streams: one schema of Parquet tables, and the samples that a model trains on."""

from __future__ import annotations

from mmbee_plugin.command.extras import check_extra


def check_installed() -> None:
    """Raises InputError without polars, which everything here but this function needs."""
    check_extra("polars", "a log of live streams")
