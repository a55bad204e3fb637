"""Typed settings of a TorchRec job, read from YAML and validated before any process starts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mmbee_plugin.assembly.settings import HistorySettings, ModelSettings
from mmbee_plugin.command.shipped import shipped
from mmbee_plugin.command.yaml_settings import read_mapping, replace_entry
from mmbee_plugin.errors import InputError
from mmbee_plugin.offline.node_vectors import NodeTraining
from mmbee_plugin.settings.needs import Needs, ReadBy, refuse_idle
from mmbee_plugin.settings.section import Section

Sharding = Literal["auto", "table_wise", "row_wise", "column_wise"]
Optimizer = Literal["rowwise_adagrad", "adagrad", "sgd", "adam"]


class DataSettings(HistorySettings):
    """What is read, and in which order."""

    shards: str
    """folder that `mmbee data shards` wrote"""
    window: int = Field(default=4, ge=1)
    """row groups that are shuffled together"""


class JobModelSettings(ModelSettings):
    """What sharded tables and shards bring to a model."""

    reach: Annotated[bool, ReadBy("interest")] = True
    """read the long walk's lists, where the shards have them"""
    unseen_rows: int = Field(default=0, ge=0)
    """rows of the user and author tables that unseen ids share by a hash of their token; 0: row 0"""
    unseen_rate: float = Field(default=0.0, ge=0, lt=1)
    """share of ids that read, in a training batch, the row that they would read unseen"""

    @model_validator(mode="after")
    def _stand_ins(self) -> Self:
        if self.unseen_rows and not self.unseen_rate:
            raise ValueError(
                f"unseen_rows {self.unseen_rows} are trained by stand-ins; set unseen_rate, for instance to 0.05"
            )
        return self


class TableSettings(Section):
    """One sharded table, or the two node tables."""

    sharding: Sharding = "auto"
    """how its rows lie on the processes; auto: whole or by rows, as TorchRec's planner has it; whole in a job of one
    process, and the author table by rows on several without a GPU"""
    optimizer: Optimizer = "rowwise_adagrad"
    """fused with the backward pass"""
    learning_rate: float = Field(default=0.05, gt=0)
    """of the optimizer"""

    @model_validator(mode="after")
    def _possible(self) -> TableSettings:
        if self.sharding == "column_wise" and self.optimizer == "rowwise_adagrad":
            raise ValueError(
                "sharding column_wise with rowwise_adagrad: the optimizer keeps one sum a row and shard, so the result "
                "depends on the number of processes; take adagrad, or table_wise or row_wise"
            )
        return self


class TablesSettings(Section):
    """How each table is sharded and updated."""

    user: Annotated[TableSettings, Needs("model.user_ids")] = TableSettings()
    author: TableSettings = TableSettings()
    query: Annotated[TableSettings, Needs("model.use_queries")] = TableSettings()
    nodes: TableSettings = TableSettings()
    words: TableSettings = TableSettings()


class TrainSettings(Section):
    """The loop; batch sizes are global, whatever the number of processes."""

    epochs: int = Field(default=10, ge=1)
    """passes over the training rows"""
    batch_size: int = Field(default=512, ge=1)
    """positives, or labelled samples, of a global batch"""
    negatives: int = Field(default=2, ge=0)
    """negatives drawn a positive; 0 for labelled samples"""
    learning_rate: float = Field(default=0.001, gt=0)
    """Adam's, for the dense part"""
    weight_decay: float = Field(default=0.0, ge=0)
    """of the dense part"""
    precision: Literal["fp32", "bf16"] = "fp32"
    """of the dense part's activations in training; evaluation computes in fp32"""
    seed: int = Field(default=0, ge=0)
    """of weights, tables, the order of rows and negatives"""
    log_every: int = Field(default=10, ge=1)
    """steps between two lines of the log"""
    eval_every: int = Field(default=1, ge=0)
    """epochs between two evaluations; 0 for never"""
    patience: Annotated[int, Needs("eval_every")] = Field(default=0, ge=0)
    """evaluations without a better one that end training; 0 for never"""
    topk: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(10, 20), min_length=1, strict=False)
    """places at which rankings are measured"""
    timeout: float = Field(default=300, gt=0)
    """seconds a process waits for the others"""


class CheckpointSettings(Section):
    """Where the state is kept."""

    folder: str = "saved/torchrec"
    """holds the job's checkpoints"""
    every: int = Field(default=0, ge=0)
    """steps between checkpoints; 0: at the end of an epoch only"""
    keep: int = Field(default=3, ge=1)
    """checkpoints kept"""
    warm_from: str | None = None
    """checkpoint of another day's job, or the folder of its checkpoints, whose weights and optimizer state this one
    goes on from, by token; needs the shards of that job; ~: all fresh"""


class Settings(Section):
    """All settings of a job."""

    data: DataSettings
    model: JobModelSettings = JobModelSettings()
    tables: TablesSettings = TablesSettings()
    graphcl: NodeTraining = NodeTraining()
    train: TrainSettings = TrainSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        if self.train.negatives == 0 and self.model.loss != "bce":
            raise ValueError(
                f"loss {self.model.loss} needs train.negatives; labelled samples are trained with bce"
            )
        return self


def read_settings(path: Path, overrides: Iterable[str] = ()) -> Settings:
    """Settings from a YAML file, ``torchrec_configs/…`` wherever it runs, with entries replaced by
    ``section.key=value`` arguments.

    Raises:
        InputError: a file that cannot be read, an unknown key, a wrong type, an impossible combination; one line
            that names the file and the entry. An argument that nothing reads.
    """
    content = read_mapping(shipped(path))
    if not content:
        raise InputError(f"{path}: expected sections {', '.join(Settings.model_fields)}")
    given: dict[str, Any] = {}
    for override in overrides:
        replace_entry(content, override)
        replace_entry(given, override)
    settings = parse_settings(content, str(path))
    refuse_idle(settings, given)
    return settings


def parse_settings(content: dict[str, Any], source: str) -> Settings:
    """Settings from nested dictionaries; ``source`` is named in errors (InputError)."""
    return Settings.of(content, source)
