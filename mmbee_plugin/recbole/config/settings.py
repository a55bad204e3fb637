"""MMBee's settings under RecBole, and their conversion to those of the modules and the graph stage."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mmbee_plugin.assembly.settings import (
    GRAPH,
    CategorySettings,
    HistorySettings,
    ModelSettings,
    NeighbourSettings,
)
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.settings import GraphSettings, GraphStage
from mmbee_plugin.modules.parts import BACKBONES, INTERESTS, needs_prefixes
from mmbee_plugin.modules.sim import chosen_search
from mmbee_plugin.offline.node_vectors import GraphCLSettings, LocalTraining
from mmbee_plugin.recbole.config.declared import FlatSettings
from mmbee_plugin.recbole.config.modalities import chosen_modalities
from mmbee_plugin.recbole.config.splitting import chosen_history
from mmbee_plugin.settings.needs import Needs, ReadBy


class StageSettings(NeighbourSettings, FlatSettings):
    """The offline stage of models that read graphs."""

    graph: Annotated[GraphStage | None, ReadBy("interest")] = GraphStage(**GRAPH)
    """graphs and neighbour lists"""
    graphcl: Annotated[LocalTraining | None, Needs("node_tables", among=("graphcl",))] = LocalTraining()
    """the pre-training of the node tables"""


class MMBeeSettings(CategorySettings, HistorySettings, StageSettings, ModelSettings):
    """Learning rate and optimizer of the tables."""

    of_recbole = {  # noqa: RUF012
        "train_neg_sample_args": {
            "distribution": "uniform",
            "sample_num": 2,
            "alpha": 1.0,
            "dynamic": False,
            "candidate_num": 0,
        }
    }

    learning_rate_decay: float = Field(default=1.0, gt=0, le=1)
    """factor of learning_rate and table_learning_rate after each epoch"""
    table_optimizer: Literal["rowwise_adagrad"] | None = None
    """rowwise_adagrad: of the tables alone, as TorchRec's fused one | ~: learner, as the rest"""
    table_learning_rate: float | None = Field(default=None, gt=0)
    """of the table_optimizer; ~: 0.05"""

    @model_validator(mode="after")
    def _of_an_optimizer(self) -> Self:
        if self.table_learning_rate is not None and self.table_optimizer is None:
            raise ValueError(f"table_learning_rate {self.table_learning_rate:g} needs a table_optimizer")
        return self


def refuse_settings(config: Any, folder: DatasetFolder) -> None:
    """Raises InputError for parts, graph settings, histories or modalities that MMBee does not support."""
    model = MMBeeSettings.among(config)
    history = chosen_history(config, folder.live is not None, folder.order.by is not None)
    if why := needs_prefixes(model.backbone, model.short_length, history):
        raise InputError(why)
    search_categories(config, folder)
    if model.reads_modalities:
        chosen_modalities(config, folder)
    if model.reads_queries:
        model.started(folder.live is not None)


def chosen_metapaths(config: Any) -> tuple[Metapath, ...]:
    """The metapaths to store: the configured ones and those that the interest encoder adds; none if it reads none."""
    names = StageSettings.among(config).metapaths
    read = INTERESTS[config["interest"]].lists(names)
    return tuple(Metapath.parse(name) for name in dict.fromkeys(names + read)) if read else ()


def attribute_modalities(config: Any, folder: DatasetFolder, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Modalities of the neighbours' mean attributes: the dense ones of `chosen`, if ``attributes`` is on."""
    if not config["attributes"]:
        return ()
    return tuple(name for name in chosen if folder.modalities[name]["kind"] == "dense")


def segment_count(config: Any, folder: DatasetFolder) -> int:
    """Segments of a sample: 1 of static items, else as configured.

    Raises:
        InputError: more than the live folder holds per sample.
    """
    if folder.live is None:
        return 1
    if config["segments"] > folder.live.per_sample:
        raise InputError(
            f"segments {config['segments']}: {folder.name} holds the last {folder.live.per_sample} of a sample"
        )
    return config["segments"]


def graph_settings(config: Any) -> GraphSettings:
    """Settings of the offline stage; part of the snapshot's key. Raises InputError."""
    stage = StageSettings.among(config).graph or GraphStage()
    return stage.part(GraphSettings, metapaths=tuple(path.name for path in chosen_metapaths(config)))


def graphcl_settings(config: Any) -> GraphCLSettings:
    """Settings of the pre-training; part of the snapshot's key. Raises InputError."""
    training = StageSettings.among(config).graphcl or LocalTraining()
    return training.part(GraphCLSettings, width=config["embedding_size"])


def search_categories(config: Any, folder: DatasetFolder) -> NDArray[np.int64] | None:
    """(n_items,) categories by row of the item file, for a backbone that searches by them; else None.

    Raises:
        InputError: hard search on data without categories; a ``category_field`` that is no such column.
    """
    if not BACKBONES[config["backbone"]].searches:
        return None
    categories = folder.categories(config["category_field"])
    return categories if chosen_search(config["search"], categories is not None) == "hard" else None
