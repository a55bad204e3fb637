"""Limits on requests, and on what is kept of them, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of a service."""

    candidates: int = 2000
    """most authors of a request, and most behaviours of its history."""
    body: int = 1 << 20
    """bytes of a body."""
    segments_body: int = 64 << 20
    """bytes of a body with segments."""
    queue: int = 5
    """most requests waiting or in work, a worker; each waits for those before it, about a millisecond for one."""
    seconds: float = 1.0
    """default deadline of a request."""
    keep_hours: float = 36.0
    """that the segments of an author off the air are kept; older ones are in any bundle that is not stale."""
