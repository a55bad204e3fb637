"""Formats and parses times in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from mmbee_plugin.errors import InputError


def clock(seconds: float) -> str:
    """Seconds since 1970 as ``2025-05-12 20:15:30``."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def parsed_time(text: str) -> float:
    """Seconds since 1970, from that number or from an ISO date and time, in UTC unless it has an offset.

    Raises:
        InputError: neither, or an impossible date.
    """
    try:
        moment = datetime.fromisoformat(text) if "-" in text[1:] else datetime.fromtimestamp(float(text), UTC)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InputError(
            f"time {text[:40]!r}: expected seconds since 1970, or a moment such as 2025-05-12T20:15:30"
        ) from None
