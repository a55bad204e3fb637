"""An alarm, and the limits beyond which a day's log raises one."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from mmbee_plugin.settings.section import Section


class AlarmSettings(Section):
    """Limits beyond which a day's log raises an alarm."""

    days: int = Field(default=7, ge=1)
    """last days that a day is compared with"""
    psi: float = Field(default=0.25, ge=0)
    """population stability index of the bundle's chances, against its answers to yesterday's rows of the same hours"""
    gift_rate: float = Field(default=1.25, ge=1)
    """factor between the day's and the last days' gifts a row of the log"""
    calibration: float = Field(default=1.5, ge=1)
    """factor between the gifts and what the bundle's chances promise, of the day or of an hour"""
    lacking: float = Field(default=0.05, ge=0)
    """rise of the share of rows without a score, or whose user, author, neighbours, segments or one of their modalities
    the bundle does not have, beyond chance"""
    volume: float = Field(default=1.25, ge=1)
    """factor between the day's number of rows and that of the last days, beyond what these differ by"""
    hours: float = Field(default=2.0, ge=1)
    """factor between an hour's share of the rows and its share in the last days, beyond chance"""
    flood: float = Field(default=2.0, ge=1)
    """factor by which an author's or a user's share of the rows is above its own in the last days, if it is also above
    the largest of anybody beyond their spread"""
    content: float = Field(default=1.5, ge=1)
    """factor between the mean squares of a modality's standardised features in the day's and the last days' rows"""
    sigmas: float = Field(default=3.0, ge=0)
    """standard errors that a day's gifts have to be away too; an hour's as many more as 24 chances of an alarm need"""


@dataclass(frozen=True)
class Alarm:
    """A shift in the log."""

    name: str
    words: str
    """what was found, in one line with the limit"""
