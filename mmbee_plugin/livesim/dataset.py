"""Makes the datasets `livesim` and `livesim2`: a world's default simulation cut into samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mmbee_plugin.data.live import ENDED
from mmbee_plugin.data.writer import check_replaceable
from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import folder_beside, publish
from mmbee_plugin.livesim.display import day_bar
from mmbee_plugin.livesim.second.settings import SecondSettings
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.livesim.simulate import simulate
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.samples import write_samples
from mmbee_plugin.logs.settings import SampleSettings

SAMPLES = SampleSettings(train_negatives=0.09, test_negatives=0.25, visits=True)
"""All gifts and these shares of negatives: in livesim 1 146,000 training rows, 61,000 each of validation and test."""


def samples_of(settings: LiveSimSettings) -> SampleSettings:
    """How a world's default dataset is cut: in livesim 2 comments show the gifts of their own window, which would tell
    a row its label, so its rows see segments that had ended."""
    return replace(SAMPLES, segments_known=ENDED) if isinstance(settings, SecondSettings) else SAMPLES


def write(folder: Path, settings: LiveSimSettings, samples: SampleSettings | None = None) -> None:
    """Simulates (a minute or two) and writes the dataset folder `folder`, the planted truth in its subfolder `planted`.

    The log is not kept; `mmbee data simulate` writes the same one. Progress goes to stderr. Raises InputError if
    `folder` cannot be replaced or written; then nothing changes.

    Args:
        samples: how it is cut; None: as `samples_of`.
    """
    check_replaceable(folder, force=False)
    with folder_beside(folder.absolute()) as work:
        logs, made = work / "logs", work / folder.name
        with day_bar(f"simulating {folder}") as progress:
            simulate(logs, settings, progress=progress)
        write_samples(LogFolder(logs), made, samples or samples_of(settings))
        try:
            publish(made, folder)
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be written ({one_line(error)}); nothing was changed"
            ) from None
