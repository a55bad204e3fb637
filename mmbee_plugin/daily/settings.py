"""Settings of the daily loop."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mmbee_plugin.daily.alarm import AlarmSettings
from mmbee_plugin.daily.gate import GateSettings
from mmbee_plugin.data.live import ENDED
from mmbee_plugin.logs.settings import SampleSettings
from mmbee_plugin.settings.section import Section


class DailySettings(Section):
    """What a day of the loop depends on besides the logs and the model's settings."""

    window_days: int = Field(default=7, ge=1)
    """days before the day's cut that samples, histories and graph are made from; users and authors without a row in
    them are dropped"""
    holdout_hours: int = Field(default=6, ge=1, le=24)
    """last hours of the day, on which the gate compares and the model is not trained; the cut is before them. 24: the
    whole day"""
    epochs: int = Field(default=1, ge=1)
    """passes over the rows since yesterday's cut, from yesterday's weights and optimizer state"""
    cold_epochs: int = Field(default=3, ge=1)
    """passes over the window's rows where training starts from nothing"""
    graphcl_epochs: int = Field(default=2, ge=1)
    """passes over the nodes, from yesterday's vectors; from nothing graphcl.epochs"""
    graphcl_learning_rate: float = Field(default=0.02, gt=0)
    """alpha of these passes; from nothing graphcl.learning_rate"""
    refresh: Literal["rebuild", "touched"] = "rebuild"
    """neighbour lists of a day that goes on from another | rebuild: all are new | touched: those of users and authors
    whose gifts changed, others keep yesterday's, which is approximate"""
    refresh_limit: int = Field(default=6, ge=1)
    """days in a row that may do so, after which all lists are new"""
    window: int = Field(default=30, ge=1)
    """seconds of a sample's window"""
    segments: int = Field(default=20, ge=1)
    """newest segments kept for a sample"""
    negatives: Literal["visits", "impressions", "both"] = "visits"
    """what can be a negative"""
    negative_rate: float = Field(default=1.0, gt=0, le=1)
    """share of the negatives that become rows, in training and holdout alike"""
    gift_tolerance: float = Field(default=0.0, ge=0)
    """seconds before or after a visit in which a gift is of the visit"""
    long_watch: float = Field(default=60.0, gt=0)
    """seconds after which a visit is long"""
    visits: bool = False
    """keep the visits of the training part, for the adapter's graph.visits"""
    on_air: float | None = Field(default=None, gt=0)
    """seconds that a bundle can score an author after the end of its newest segment; ~: 20 windows"""
    seed: int = Field(default=0, ge=0)
    """of the draw of negatives, the model's start, the order of rows and the gate's resampling"""
    keep_days: int = Field(default=7, ge=1)
    """days whose samples and models are kept, besides the day itself; of older ones records and reports alone"""
    gate: GateSettings = GateSettings()
    """limits beyond which yesterday's bundle stays"""
    alarms: AlarmSettings = AlarmSettings()
    """limits beyond which a shift of the log is told of"""

    def of_samples(self) -> SampleSettings:
        """The settings that the samples of a day are cut by: rows see segments that had ended, as a service does."""
        return SampleSettings(
            window=self.window,
            segments=self.segments,
            segments_known=ENDED,
            negatives=self.negatives,
            train_negatives=self.negative_rate,
            test_negatives=self.negative_rate,
            gift_tolerance=self.gift_tolerance,
            long_watch=self.long_watch,
            visits=self.visits,
            seed=self.seed,
        )
