"""The typed settings of a TorchRec job, read from YAML and checked before any process starts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mmbee_plugin.command.yaml_settings import NAMES, parse_value, read_mapping
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath
from mmbee_plugin.modules.ego_fusion import EgoFusion
from mmbee_plugin.modules.gie import GIE
from mmbee_plugin.modules.mfq import QUERY_STARTS, OrthogonalProjection
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS, HEADS, INTERESTS, needs_user_ids
from mmbee_plugin.modules.shapes import ContentSettings, GTRSettings
from mmbee_plugin.offline.node_vectors import GraphCLSettings

Sharding = Literal["auto", "table_wise", "row_wise", "column_wise"]
Optimizer = Literal["rowwise_adagrad", "adagrad", "sgd", "adam"]
Names = Annotated[
    tuple[str, ...],
    Field(strict=False),
    BeforeValidator(lambda given: given.split(",") if isinstance(given, str) else given),
]
"""A list; on a command line also ``a,b`` without brackets."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DataSettings(_Section):
    """What is read, and in which order."""

    shards: str = Field(description="folder that `mmbee data shards` wrote")
    window: int = Field(default=4, ge=1, description="row groups that are shuffled together")
    history_length: int = Field(default=50, ge=1, description="newest behaviours kept")
    history: Literal["prefix", "others", "daily"] | None = Field(
        default=None,
        description="what came before the target, all but it, or all before the target's day; by default daily of live "
        "data, else prefix where there is time",
    )


class ModelSettings(_Section):
    """Which parts make the model; the names and defaults of the RecBole adapter's ``MMBee``."""

    backbone: str = "mean"
    content: str = "mfq"
    interest: str = "gie"
    head: str = "dot"
    loss: Literal["softmax", "bpr", "bce"] = "softmax"
    user_ids: bool = True
    width: int = Field(default=64, ge=1)
    mfq_width: int | None = Field(
        default=None, ge=1, description="of MFQ, or of the content encoder in its place; null takes width"
    )
    hidden: tuple[int, int] = Field(default=(200, 80), strict=False)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    history_dropout: float = Field(default=0.5, ge=0, lt=1)
    modalities: Names | None = None
    heads: int = Field(default=4, ge=1)
    num_queries: int = Field(default=4, ge=1)
    use_queries: bool = True
    shared_queries: bool = Field(
        default=True,
        description="an author's queries are offsets from those that all share; false: each has its own alone",
    )
    query_start: str | None = Field(
        default="random",
        description="random, or author: from the id vector; null: random for live data, else author",
    )
    match: bool = True
    projection: str = "sum"
    segments: int = Field(
        default=5,
        ge=1,
        le=ContentSettings.max_segments,
        description="live data: segments of a sample, the newest known at its moment",
    )
    joint_layers: int = Field(default=ContentSettings.joint_layers, ge=1)
    fusion: str = ContentSettings.fusion
    fusion_threshold: float = Field(default=ContentSettings.fusion_threshold, ge=0, le=1)
    content_dropout: float = Field(default=0.0, ge=0, lt=1)
    modality_dropout: float = Field(default=0.1, ge=0, le=1)
    default_query_rate: float = Field(default=0.1, ge=0, le=1)
    metapaths: Names = PAPER_METAPATHS
    pooling: str = "concat"
    neighbour_weights: bool = True
    attributes: bool = True
    node_tables: Literal["stored", "fresh"] = Field(
        default="stored",
        description="start from the vectors that lie with the shards, where there are any; or fresh",
    )
    reach: bool = True
    reach_weight: float = GTRSettings.reach_weight
    reach_floor: float = Field(
        default=GTRSettings.reach_floor,
        gt=0,
        description="entry of the long walk's lists that starts to count",
    )
    unseen_rows: int = Field(
        default=0,
        ge=0,
        description="rows of the user and author tables that unseen ids share by a hash of their token; 0: row 0",
    )
    unseen_rate: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of ids that read, in a training batch, the row that they would read unseen",
    )
    experts: int = Field(default=8, ge=1)
    search_heads: int = Field(default=2, ge=1)
    search: Literal["hard", "soft"] | None = Field(
        default=None,
        description="SIM's: by category, or by embedding; by default hard where the data have categories",
    )
    searched: int = Field(default=20, ge=1)
    short_length: int = Field(default=0, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    log_q: bool = True
    init_std: float = Field(default=0.01, ge=0)
    node_std: float = Field(default=0.1, ge=0)

    @model_validator(mode="after")
    def _known_parts(self) -> ModelSettings:
        known = {
            "backbone": tuple(BACKBONES),
            "content": tuple(CONTENTS),
            "interest": tuple(INTERESTS),
            "head": tuple(HEADS),
            "projection": OrthogonalProjection.READINGS,
            "fusion": EgoFusion.FORMS,
            "pooling": GIE.POOLINGS,
        }
        for name, choices in known.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known: {', '.join(choices)}")
        for name in ("metapaths", "modalities"):
            chosen = getattr(self, name) or ()
            if twice := [one for one in chosen if chosen.count(one) > 1]:
                raise ValueError(f"{name}: {twice[0]!r} is there twice")
        for path in self.metapaths:
            Metapath.parse(path)
        if CONTENTS[self.content].has_heads and self.content_width % self.heads:
            name = "width" if self.mfq_width is None else "mfq_width"
            raise ValueError(f"{name} {self.content_width} is no multiple of heads {self.heads}")
        if self.query_start not in (None, *QUERY_STARTS):
            raise ValueError(f"unknown query_start {self.query_start!r}; known: {', '.join(QUERY_STARTS)}")
        if not self.user_ids and (why := needs_user_ids(self.backbone, self.interest, self.metapaths)):
            raise ValueError(why)
        if self.unseen_rows and not self.unseen_rate:
            raise ValueError("unseen_rows are trained by stand-ins; set unseen_rate, for instance to 0.05")
        return self

    @property
    def content_width(self) -> int:
        """Width of the content encoder and of its query tokens."""
        return self.width if self.mfq_width is None else self.mfq_width

    @property
    def lists(self) -> tuple[str, ...]:
        """The metapaths whose neighbours the interest encoder reads."""
        return INTERESTS[self.interest].lists(self.metapaths)


class TableSettings(_Section):
    """One sharded table, or the two node tables."""

    sharding: Sharding = "auto"
    optimizer: Optimizer = "rowwise_adagrad"
    learning_rate: float = Field(default=0.05, gt=0)

    @model_validator(mode="after")
    def _possible(self) -> TableSettings:
        if self.sharding == "column_wise" and self.optimizer == "rowwise_adagrad":
            raise ValueError(
                "column_wise with rowwise_adagrad: the optimizer keeps one sum a row and shard, so the result depends "
                "on the number of processes; take adagrad, or table_wise or row_wise"
            )
        return self


class TablesSettings(_Section):
    """How each table is sharded and updated."""

    user: TableSettings = TableSettings()
    author: TableSettings = TableSettings()
    query: TableSettings = TableSettings()
    nodes: TableSettings = TableSettings()
    words: TableSettings = TableSettings()


class NodeTraining(_Section):
    """Training of the node vectors; names, meaning and defaults of ``GraphCLSettings``. They are as wide as the model,
    and lie where ``tables.nodes`` says."""

    epochs: int = Field(default=GraphCLSettings.epochs, ge=1)
    batch_size: int = Field(default=GraphCLSettings.batch_size, ge=1, description="nodes of a global batch")
    learning_rate: float = Field(default=GraphCLSettings.learning_rate, gt=0)
    optimiser: Literal["adagrad", "sgd"] = GraphCLSettings.optimiser
    positives: int = Field(default=GraphCLSettings.positives, ge=1)
    negatives: int = Field(default=GraphCLSettings.negatives, ge=1)
    by_weight: bool = GraphCLSettings.by_weight
    nce_weight: float = GraphCLSettings.nce_weight
    temperature: float = Field(default=GraphCLSettings.temperature, gt=0)
    normalise: bool = GraphCLSettings.normalise


class TrainSettings(_Section):
    """The loop. Batch sizes are global: they do not change with the number of processes."""

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(
        default=512, ge=1, description="positives, or labelled samples, of a global batch"
    )
    negatives: int = Field(default=2, ge=0, description="negatives drawn a positive; 0 for labelled samples")
    learning_rate: float = Field(default=0.001, gt=0, description="Adam's, for the dense part")
    weight_decay: float = Field(default=0.0, ge=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = Field(default=0, ge=0)
    log_every: int = Field(default=10, ge=1, description="steps")
    eval_every: int = Field(default=1, ge=0, description="epochs; 0 for never")
    patience: int = Field(
        default=0, ge=0, description="evaluations without a better one that end training; 0 for never"
    )
    topk: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(10, 20), min_length=1, strict=False)
    timeout: float = Field(default=300, gt=0, description="seconds a process waits for the others")


class CheckpointSettings(_Section):
    """Where the state is kept."""

    folder: str = "saved/torchrec"
    every: int = Field(
        default=0, ge=0, description="steps between checkpoints; 0: at the end of an epoch only"
    )
    keep: int = Field(default=3, ge=1)


class Settings(_Section):
    """All settings of a job."""

    data: DataSettings
    model: ModelSettings = ModelSettings()
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
    """Settings from a YAML file, with entries replaced by ``section.key=value`` arguments.

    Raises:
        InputError: a file that cannot be read, an unknown key, a wrong type, an impossible combination; one line
            that names the file and the entry.
    """
    content = read_mapping(path)
    if not content:
        raise InputError(f"{path}: expected sections {', '.join(Settings.model_fields)}")
    for override in overrides:
        replace_entry(content, override)
    return parse_settings(content, str(path))


def parse_settings(content: dict[str, Any], source: str) -> Settings:
    """Settings from nested dictionaries; ``source`` is named in errors (InputError)."""
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise refusal(error, source) from None


def refusal(error: ValidationError, source: str) -> InputError:
    """The first finding of a validation in one line that names the entry."""
    first = error.errors()[0]
    entry = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        message = "no such setting"
    return InputError(f"{source}: {entry + ': ' if entry else ''}{message}")


def replace_entry(content: dict[str, Any], override: str) -> None:
    """Sets the entry that an argument ``section.key=value`` names, the value as in YAML; InputError if it cannot."""
    name, equals, text = override.removeprefix("--").partition("=")
    *sections, key = name.split(".")
    if not equals:
        raise InputError(f"{override!r} is not understood; settings are written section.key=value")
    value = parse_value(text, repr(override), names=key in NAMES)
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise InputError(f"{override!r}: {section} is no section")
    content[key] = value
