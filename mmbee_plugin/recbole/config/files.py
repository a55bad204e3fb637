"""The files of ``recbole_configs``: settings of each dataset, and of the paper's model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmbee_plugin.command.shipped import shipped
from mmbee_plugin.command.yaml_settings import read_mapping
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.recbole.config.known import check_settings, known_settings
from mmbee_plugin.recbole.config.layers import COMPONENTS, check_model
from mmbee_plugin.recbole.config.sources import Source, settings_of

RUN_DEFAULTS: dict[str, Any] = {
    "metrics": ["Recall", "Precision", "NDCG"],
    "topk": [10, 20],
    "valid_metric": "Recall@10",
}
"""Metrics of a run, unless its dataset's YAML or the command line sets others."""


def config_folder() -> Path:
    """``recbole_configs``: of the working directory, else of the checkout, else of the installed package."""
    return shipped(Path("recbole_configs"))


def paper_settings() -> dict[str, Any]:
    """The settings that make ``MMBee`` the paper's model: those of ``recbole_configs/paper.yaml``.

    Given to a run they win over the dataset's own file, as with ``--config_files``. Raises InputError where the file
    cannot be read.
    """
    return read_mapping(shipped(Path("recbole_configs/paper.yaml")))


def dataset_settings(folder: DatasetFolder, model: str) -> dict[str, Any]:
    """Settings of a dataset's file for `model`; none if there is no such file."""
    return settings_of(dataset_sources(folder, model), model)


def dataset_sources(folder: DatasetFolder, model: str) -> list[Source]:
    """``recbole_configs/<dataset>.yaml``: settings of all models, the section for `model` and that for samples.

    Live data without a file of their own use that of the simulated data. Raises InputError for an unknown model or
    setting.
    """
    path = config_folder() / f"{folder.name}.yaml"
    if folder.live is not None and not path.is_file():
        path = config_folder() / "livesim.yaml"
    if not path.is_file():
        return []
    content = read_mapping(path)
    models, sample = content.pop("models", None) or {}, content.pop("sample", None) or {}
    for name in models:
        check_model(name)
    known: set[str] = set().union(*map(known_settings, {*COMPONENTS, model}))
    sections = {"": content, f"models.{model}": models.get(model) or {}, "sample": sample}
    for section in sections.values():
        check_settings(section, known, str(path))
    if folder.kind != "sample":
        del sections["sample"]
    return [Source(str(path), settings, section) for section, settings in sections.items()]


def base_sources(model: str, folder: DatasetFolder) -> list[Source]:
    """Settings of a run above RecBole's and the model's defaults, and below all given ones."""
    return [
        Source("a run's defaults", RUN_DEFAULTS),
        *dataset_sources(folder, model),
    ]
