"""The most memory that a process has held, in MB (10^6 bytes)."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path


class PeakMemory:
    """The most resident memory since it was made; on Linux the kernel's own mark is reset, elsewhere it covers the
    process."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def megabytes(self) -> float:
        """In MB (10^6 bytes)."""
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return peak_megabytes()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def peak_megabytes() -> float:
    """Since the process began, in MB (10^6 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
