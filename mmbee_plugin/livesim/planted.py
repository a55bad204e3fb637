"""What is planted in the rows of a simulated dataset folder: the parts of the log-odds of a gift, drawn again from the
settings beside them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
from scipy.special import logit

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.jsons import read_object
from mmbee_plugin.errors import InputError
from mmbee_plugin.livesim.gifts import gift_log_odds
from mmbee_plugin.livesim.rooms import draw_rooms
from mmbee_plugin.livesim.second.drift import worlds
from mmbee_plugin.livesim.second.settings import SecondSettings
from mmbee_plugin.livesim.settings import DAY_MS, FIRST_DAY_MS, SEGMENT_MS, LiveSimSettings
from mmbee_plugin.livesim.world import draw_world
from mmbee_plugin.livesim.worlds import WORLDS
from mmbee_plugin.logs.folder import PLANTED

MONEY = "earlier gifts, price"
"""what `livesim 2` adds, as one part"""
ROUNDING = 1e-3
"""nats between the parts' sum and the stored chance, which is float32"""


def planted_parts(folder: DatasetFolder, split: str) -> dict[str, np.ndarray]:
    """The parts of the log-odds of a gift in each row of a split, without the base: name -> (n,) float64, file order.

    Raises:
        InputError: a folder without planted truth, or whose stored chances other settings or draws made.
    """
    planted, truth = folder.path / PLANTED, folder.path / "truth" / f"{split}.npy"
    if not truth.is_file() or not (planted / "settings.json").is_file():
        raise InputError(
            f"{folder.path}: no planted truth; --dataset=livesim and what mmbee data simulate made have it"
        )
    settings = read_settings(planted / "settings.json")
    base = read_object(planted / "report.json", "the report of a simulation")["bases"]["gift"]
    odds = _odds(folder, split, settings)
    rest = logit(np.load(truth).astype(np.float64)) - base - sum(odds.values())
    if isinstance(settings, SecondSettings):
        return odds | {MONEY: rest}
    if not np.abs(rest).max(initial=0) < ROUNDING:
        raise InputError(
            f"{truth}: chances that {settings.version} with {planted / 'settings.json'} does not draw"
        )
    return odds


def read_settings(path: Path) -> LiveSimSettings:
    """The settings of a simulation as it writes them. Raises InputError for a file of another version."""
    stated = read_object(path, "the settings of a simulation")
    for settings in WORLDS.values():
        if settings.version == stated.get("version"):
            names = {field.name for field in fields(settings)}
            return settings(**{name: value for name, value in stated.items() if name in names})
    known = ", ".join(settings.version for settings in WORLDS.values())
    raise InputError(f"{path}: version {stated.get('version')!r}, known are {known}")


def _odds(folder: DatasetFolder, split: str, settings: LiveSimSettings) -> dict[str, np.ndarray]:
    """The parts that the traits of user and author and the room's highlight make."""
    rows = folder.interactions(split)
    assert rows.timestamps is not None  # live rows have times
    user = np.array([int(token[1:]) for token in folder.user_tokens])[rows.users]
    author = np.array([int(token[1:]) for token in folder.item_tokens])[rows.items]
    day, at = np.divmod(np.rint(rows.timestamps * 1_000).astype(np.int64) - FIRST_DAY_MS, DAY_MS)
    found: dict[str, np.ndarray] = {}
    days = (
        worlds(settings) if isinstance(settings, SecondSettings) else [draw_world(settings)] * settings.days
    )
    for number in np.unique(day):
        world, own = days[number], np.flatnonzero(day == number)
        rooms = draw_rooms(settings, world.authors, number)
        room = np.searchsorted(rooms.author, author[own])
        window = (at[own] - rooms.start[room]) // SEGMENT_MS
        highlight = rooms.highlight[rooms.first[room] + window]
        for name, part in vars(gift_log_odds(settings, world, user[own], author[own], highlight)).items():
            found.setdefault(name, np.zeros(len(day)))[own] = part
    return found
