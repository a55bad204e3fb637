"""The metrics of an evaluation, and the one that chooses the best epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recbole.evaluator import metric_types, smaller_metrics
from recbole.utils import EvaluatorType

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.values import chosen_modes

GROUPED = ("uauc", "labelledgauc")
"""this package's metrics of labelled samples, by the names under which RecBole has them"""


def chosen_metrics(settings: dict[str, Any]) -> list[str]:
    """`metrics` as RecBole must see them: in labelled evaluation `GAUC` is spelled `LabelledGAUC`.

    Args:
        settings: RecBole's merged settings, before it checks them; `metrics` and `eval_args.mode` are read.

    Raises:
        InputError: an unknown mode; a metric of labelled samples in full ranking, or of rankings on labelled samples.
    """
    metrics = settings["metrics"]
    metrics = [metrics] if isinstance(metrics, str) else list(metrics or ())
    arguments = settings["eval_args"] if isinstance(settings.get("eval_args"), Mapping) else {}
    modes = chosen_modes(arguments)
    if modes == {"labeled"}:
        metrics = ["LabelledGAUC" if metric.lower() == "gauc" else metric for metric in metrics]
    ranking = [metric for metric in metrics if metric_types.get(metric.lower()) == EvaluatorType.RANKING]
    if ranking and "labeled" in modes:
        raise InputError(
            f"metrics {', '.join(ranking)}: computed on rankings, and eval_args.mode labeled has none; choose among "
            "AUC, UAUC, GAUC, LogLoss, MAE and RMSE"
        )
    grouped = [metric for metric in metrics if metric.lower() in GROUPED]
    if grouped and "full" in modes:
        raise InputError(
            f"metrics {', '.join(grouped)}: computed on labelled samples; set eval_args.mode to labeled"
        )
    return metrics


def measured(settings: Mapping[str, Any]) -> list[str]:
    """Names of the measured metrics: `NDCG@10` for each of `topk`, `AUC` and `GAUC` without a cut-off.

    Raises:
        InputError: no metric, or `topk` is no positive integer and no list of them.
    """
    topk, metrics = (
        value if isinstance(value, list | tuple) else [value]
        for value in (settings["topk"], settings["metrics"])
    )
    if not metrics or not all(isinstance(metric, str) for metric in metrics):
        raise InputError(
            f"metrics {settings['metrics']}: a name is needed, for instance Recall, or a list of them"
        )
    for k in topk or [None]:
        if type(k) is not int or k < 1:
            raise InputError(f"topk {settings['topk']}: a positive integer is needed, or a list of them")
    names: list[str] = []
    for metric in metrics:
        name = "GAUC" if metric.lower() == "labelledgauc" else metric
        whole = name.lower() in ("gauc", *GROUPED) or metric_types.get(name.lower()) == EvaluatorType.VALUE
        names += [name] if whole else [f"{name}@{k}" for k in topk]
    return names


def chosen_valid_metric(settings: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """The metric that chooses the best epoch, one of those that are measured.

    Args:
        settings: RecBole's merged settings; `valid_metric`, `metrics` and `topk` are read.
        given: the user's settings; if `valid_metric` is not among them, it follows `metrics` and `topk`.

    Raises:
        InputError: a given `valid_metric` is not measured, or `valid_metric_bigger` contradicts the metric.
    """
    names, wanted = measured(settings), str(settings["valid_metric"])
    if wanted.lower() not in map(str.lower, names):
        if "valid_metric" in given:
            raise InputError(f"valid_metric {wanted}: not measured; metrics and topk give {', '.join(names)}")
        metric = wanted.partition("@")[0].lower()
        wanted = next((name for name in names if name.partition("@")[0].lower() == metric), names[0])
    bigger = wanted.partition("@")[0].lower() not in smaller_metrics
    if given.get("valid_metric_bigger", bigger) != bigger:
        raise InputError(
            f"valid_metric_bigger {given['valid_metric_bigger']}: of {wanted} the {'bigger' if bigger else 'smaller'} "
            "value is the better one; leave the setting out"
        )
    return wanted
