"""From RecBole's flat config to the typed settings of the modules and of the graph stage."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.modules.ego_fusion import EgoFusion
from mmbee_plugin.modules.gie import GIE
from mmbee_plugin.modules.mfq import QUERY_STARTS, OrthogonalProjection, chosen_start
from mmbee_plugin.modules.parts import (
    BACKBONES,
    CONTENTS,
    HEADS,
    INTERESTS,
    head_of,
    needs_prefixes,
    needs_user_ids,
)
from mmbee_plugin.modules.shapes import ContentSettings, GTRSettings, SIMSettings
from mmbee_plugin.modules.sim import GAP_BUCKETS, SEARCHES, chosen_search
from mmbee_plugin.offline.node_vectors import GraphCLSettings
from mmbee_plugin.recbole.config.modalities import chosen_modalities
from mmbee_plugin.recbole.config.splitting import chosen_history

Section = TypeVar("Section")

LOSSES = ("bce", "bpr", "softmax")
NODE_TABLES = ("graphcl", "fresh")
TABLE_OPTIMIZERS = (None, "rowwise_adagrad")
CHOICES: dict[str, Collection[str]] = {
    "backbone": BACKBONES,
    "content": CONTENTS,
    "interest": INTERESTS,
    "head": HEADS,
    "loss": LOSSES,
    "projection": OrthogonalProjection.READINGS,
    "fusion": EgoFusion.FORMS,
    "pooling": GIE.POOLINGS,
    "node_tables": NODE_TABLES,
}
SWITCHES = ("user_ids", "use_queries", "shared_queries", "match", "neighbour_weights", "attributes", "log_q")
RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, math.inf),
    "eval_step": (1, math.inf),
    "embedding_size": (1, math.inf),
    "heads": (1, math.inf),
    "num_queries": (1, math.inf),
    "joint_layers": (1, math.inf),
    "experts": (1, math.inf),
    "fusion_threshold": (0, 1),
    "segments": (1, ContentSettings.max_segments),
    "search_heads": (1, math.inf),
    "searched": (1, math.inf),
    "short_length": (0, math.inf),
    "reach_floor": (1e-12, math.inf),
    "reach_weight": (-math.inf, math.inf),
    "temperature": (1e-6, math.inf),
    "init_std": (0, math.inf),
    "node_std": (0, math.inf),
    "dropout_prob": (0, 0.99),
    "history_dropout": (0, 0.99),
    "content_dropout": (0, 0.99),
    "modality_dropout": (0, 1),
    "default_query_rate": (0, 1),
}


def check_choices(config: Any) -> None:
    """Raises InputError for a setting outside its list, naming the known ones."""
    for key, known in CHOICES.items():
        if config[key] not in tuple(known):
            raise InputError(f"unknown {key} {config[key]!r}; known: {', '.join(known)}")
    for key in SWITCHES:
        if not isinstance(config[key], bool):
            raise InputError(f"{key} {config[key]!r}: expected true or false")
    if len(config["mlp_hidden_size"]) != 2:
        raise InputError(f"mlp_hidden_size {config['mlp_hidden_size']}: heads have two hidden layers")
    for key, (low, high) in RANGES.items():
        value = config[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InputError(f"{key} {value!r} is out of range, expected {low:g} to {high:g}")
    if config["table_optimizer"] not in TABLE_OPTIMIZERS:
        raise InputError(f"unknown table_optimizer {config['table_optimizer']!r}; known: rowwise_adagrad")
    if config["search"] not in (None, *SEARCHES):
        raise InputError(f"unknown search {config['search']!r}; known: {', '.join(SEARCHES)}, ~")
    rate = config["table_learning_rate"]
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or rate <= 0):
        raise InputError(f"table_learning_rate {rate!r} is out of range, expected more than 0")
    if rate is not None and config["table_optimizer"] is None:
        raise InputError(f"table_learning_rate {rate!r} needs a table_optimizer")
    width = config["mfq_width"]
    if width is not None and (isinstance(width, bool) or not isinstance(width, int) or width < 1):
        raise InputError(f"mfq_width {width!r} is out of range, expected a whole number of at least 1, or ~")
    if CONTENTS[config["content"]].has_heads and content_width(config) % config["heads"]:
        name = "embedding_size" if width is None else "mfq_width"
        raise InputError(f"{name} {content_width(config)} is no multiple of heads {config['heads']}")
    if config["query_start"] not in (None, *QUERY_STARTS):
        raise InputError(f"unknown query_start {config['query_start']!r}; known: {', '.join(QUERY_STARTS)}")
    names = list(config["metapaths"] or ())
    if not config["user_ids"] and (why := needs_user_ids(config["backbone"], config["interest"], names)):
        raise InputError(why)
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"metapath {name!r} is listed twice")


def refuse_settings(config: Any, folder: DatasetFolder) -> None:
    """Raises InputError for parts, graph settings, histories or modalities that MMBee cannot have."""
    check_choices(config)
    history = chosen_history(config, folder.live is not None, folder.order.by is not None)
    if why := needs_prefixes(config["backbone"], config["short_length"], history):
        raise InputError(why)
    search_categories(config, folder)
    graph_settings(config)
    graphcl_settings(config)
    if CONTENTS[config["content"]].reads_modalities:
        chosen_modalities(config, folder)
    if reads_queries(config):
        query_start(config, folder)


def chosen_metapaths(config: Any) -> tuple[Metapath, ...]:
    """The metapaths to store, parsed: the configured ones and those that the interest encoder reads besides; none where
    it reads none."""
    names, interest = tuple(config["metapaths"] or ()), INTERESTS[config["interest"]]
    read = interest.lists(names)
    return tuple(Metapath.parse(name) for name in dict.fromkeys(names + read)) if read else ()


def reads_queries(config: Any) -> bool:
    """Whether authors own query tokens."""
    return CONTENTS[config["content"]].reads_queries and config["use_queries"]


def attribute_modalities(config: Any, folder: DatasetFolder, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Of the chosen modalities those whose means neighbours bring along: the dense ones, if wanted."""
    if not config["attributes"]:
        return ()
    return tuple(name for name in chosen if folder.modalities[name]["kind"] == "dense")


def content_width(config: Any) -> int:
    """Width of the content encoder and of its query tokens."""
    return config["embedding_size"] if config["mfq_width"] is None else config["mfq_width"]


def query_start(config: Any, folder: DatasetFolder) -> str:
    """How authors' query tokens start, as `chosen_start`, which may raise InputError."""
    live = folder.live is not None
    return chosen_start(config["query_start"], live, content_width(config), config["embedding_size"])


def segment_count(config: Any, folder: DatasetFolder) -> int:
    """Segments of a sample: 1 of static items, else as configured.

    Raises:
        InputError: more than a live folder holds of each sample.
    """
    if folder.live is None:
        return 1
    if config["segments"] > folder.live.per_sample:
        raise InputError(
            f"segments {config['segments']}: {folder.name} holds the last {folder.live.per_sample} of a sample"
        )
    return config["segments"]


def graph_settings(config: Any) -> GraphSettings:
    """Settings of the offline stage; part of the snapshot's key. Raises InputError as ``_section``."""
    return _section(
        config, "graph", GraphSettings, metapaths=tuple(path.name for path in chosen_metapaths(config))
    )


def graphcl_settings(config: Any) -> GraphCLSettings:
    """Settings of the pre-training; part of the snapshot's key. Raises InputError as ``_section``."""
    return _section(config, "graphcl", GraphCLSettings, width=config["embedding_size"])


def gtr_settings(config: Any, attribute_width: int, tasks: tuple[str, ...] = ()) -> GTRSettings:
    """Names and shapes of the model's parts.

    Args:
        attribute_width: width of the neighbours' mean attributes, 0 for none.
        tasks: what the data's rows are labelled with besides gifts, for the backbone that learns several tasks.
    """
    paths = chosen_metapaths(config) if INTERESTS[config["interest"]].takes_means else ()
    several = head_of(config["backbone"], config["head"]).several_tasks
    return GTRSettings(
        backbone=config["backbone"],
        content=config["content"],
        interest=config["interest"],
        head=config["head"],
        width=config["embedding_size"],
        hidden=tuple(config["mlp_hidden_size"]),
        dropout=config["dropout_prob"],
        history_dropout=config["history_dropout"],
        pooling=config["pooling"],
        neighbour_weights=config["neighbour_weights"],
        user_metapaths=tuple(path.name for path in paths if path.start == "u"),
        author_metapaths=tuple(path.name for path in paths if path.start == "a"),
        attribute_width=attribute_width,
        reach=bool(paths) and graph_settings(config).reach_top_k > 0,
        reach_floor=config["reach_floor"],
        reach_weight=config["reach_weight"],
        tasks=("gift", *(tasks if several else ())),
        experts=config["experts"],
        user_ids=config["user_ids"],
    )


def content_settings(config: Any, widths: dict[str, int]) -> ContentSettings:
    """Shapes of the content encoder."""
    return ContentSettings(
        widths=widths,
        width=content_width(config),
        heads=config["heads"],
        num_queries=config["num_queries"],
        use_queries=config["use_queries"],
        shared_queries=config["shared_queries"],
        match=config["match"],
        projection=config["projection"],
        dropout=config["content_dropout"],
        joint_layers=config["joint_layers"],
        fusion=config["fusion"],
        fusion_threshold=config["fusion_threshold"],
        modality_dropout=config["modality_dropout"],
        default_query_rate=config["default_query_rate"],
    )


def search_categories(config: Any, folder: DatasetFolder) -> NDArray[np.int64] | None:
    """(n_items,) the items' categories in file order, by which a backbone searches; None where none does.

    Raises:
        InputError: hard search of data without categories; a ``category_field`` that is no such column.
    """
    if not BACKBONES[config["backbone"]].searches:
        return None
    categories = folder.categories(config["category_field"])
    return categories if chosen_search(config["search"], categories is not None) == "hard" else None


def sim_settings(config: Any, ordered: bool, categories: bool) -> SIMSettings:
    """Shapes of SIM, which searches by ``categories`` where there are any; without time there are no gaps."""
    return SIMSettings(
        width=config["embedding_size"],
        heads=config["search_heads"],
        search="hard" if categories else "soft",
        searched=config["searched"],
        short=config["short_length"],
        gaps=GAP_BUCKETS if ordered else 0,
    )


def _section(config: Any, name: str, kind: type[Section], **fixed: Any) -> Section:
    """The dataclass `kind` from the setting `name`, a dict of its entries but for those `fixed` elsewhere.

    Raises:
        InputError: an entry that `kind` does not have, naming those it has, or one of a wrong type.
    """
    entries = config[name] if config[name] is not None else {}
    expected = {key: hint for key, hint in get_type_hints(kind).items() if key not in fixed}
    if not isinstance(entries, dict):
        raise InputError(
            f"{name}: found {entries!r}, expected entries {{name: value}} of {', '.join(expected)}"
        )
    for key, value in entries.items():
        if key not in expected:
            raise InputError(f"{name}: unknown entry {key!r}; known: {', '.join(expected)}")
        if not _fits(value, expected[key]):
            raise InputError(f"{name}.{key}: found {value!r}, expected {_in_words(expected[key])}")
    return kind(**entries, **fixed)


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_args(hint):
        return any(_fits(value, part) for part in get_args(hint))
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    return isinstance(value, {int: numbers.Integral, float: numbers.Real}.get(hint, hint))


def _in_words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(get_args(hint))
    if get_args(hint):
        return " or ".join(map(_in_words, get_args(hint)))
    words = {int: "a whole number", float: "a number", bool: "true or false", type(None): "~"}
    return words.get(hint, hint.__name__)
