"""The simulator's worlds by number; each is frozen, with its law, its default settings and its draws."""

from __future__ import annotations

from mmbee_plugin.livesim.run import Run
from mmbee_plugin.livesim.second.run import SecondRun
from mmbee_plugin.livesim.second.settings import SecondSettings
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.logs.writer import LogWriter

WORLDS: dict[int, type[LiveSimSettings]] = {1: LiveSimSettings, 2: SecondSettings}
"""settings of each world"""


def run_of(log: LogWriter, settings: LiveSimSettings) -> Run:
    """A simulation of the settings' world."""
    return SecondRun(log, settings) if isinstance(settings, SecondSettings) else Run(log, settings)
