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
    """``recbole_configs/<dataset>.yaml``: settings of all models, the section for `model`, and the same for samples.

    Live data without a file of their own use that of the simulated data. Raises InputError for an unknown model or
    setting.
    """
    path = config_folder() / f"{folder.name}.yaml"
    if folder.live is not None and not path.is_file():
        path = config_folder() / "livesim.yaml"
    if not path.is_file():
        return []
    content = read_mapping(path)
    of_samples = content.pop("sample", None) or {}
    sections = _sections(content, model, "") | _sections(of_samples, model, "sample")
    known: set[str] = set().union(*map(known_settings, {*COMPONENTS, model}))
    for settings in sections.values():
        check_settings(settings, known, str(path))
    return [
        Source(str(path), settings, section)
        for section, settings in sections.items()
        if folder.kind == "sample" or not section.startswith("sample")
    ]


def _sections(content: dict[str, Any], model: str, name: str) -> dict[str, dict[str, Any]]:
    """Settings for all models and those of `model`, by the section that they are in. Raises InputError."""
    models = content.pop("models", None) or {}
    for each in models:
        check_model(each)
    return {name: content, f"{name}.models.{model}".lstrip("."): models.get(model) or {}}


def base_sources(model: str, folder: DatasetFolder) -> list[Source]:
    """Settings of a run above RecBole's and the model's defaults, and below all given ones."""
    return [
        Source("a run's defaults", RUN_DEFAULTS),
        *dataset_sources(folder, model),
    ]
