"""Peak resident memory of this process, in MB (10^6 bytes)."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path


class PeakMemory:
    """Peak resident memory since construction, which resets the kernel's mark on Linux; elsewhere since the process
    began."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def megabytes(self) -> float:
        """The peak in MB (10^6 bytes)."""
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return peak_megabytes()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def peak_megabytes() -> float:
    """Peak resident memory since the process began, in MB (10^6 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
