"""The labelled protocol: AUC, UAUC, GAUC and LogLoss of labelled samples in one run.

RecBole's own GAUC ranks items, so it cannot stand beside AUC, and its collector forgets whose sample it is.
Here the two grouped metrics are value metrics like AUC and LogLoss, on the definitions of
`mmbee_plugin.evaluation.metrics`. In a run that evaluates labels, `GAUC` in `metrics` means the labelled one; in a
ranking run it stays RecBole's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from recbole.evaluator import Collector, metric_types, smaller_metrics
from recbole.evaluator.base_metric import AbstractMetric
from recbole.evaluator.collector import DataStruct
from recbole.utils import EvaluatorType

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import gauc, uauc

USERS = "data.user"


class GroupedMetric(AbstractMetric):
    """A metric of labelled samples grouped by user: `name` is its key in the results."""

    metric_type = EvaluatorType.VALUE
    metric_need = ("rec.score", "data.label", USERS)
    name: str

    def calculate_metric(self, dataobject: Any) -> dict[str, float]:
        """RecBole's collected samples -> {name: rounded value}."""
        users, labels, scores = (
            dataobject.get(key).reshape(-1).numpy() for key in (USERS, "data.label", "rec.score")
        )
        return {self.name: round(self.value(users, labels, scores), self.decimal_place)}

    def value(self, users: NDArray, labels: NDArray, scores: NDArray) -> float:
        """users, labels, scores (n,) each -> the metric."""
        raise NotImplementedError


class UAUC(GroupedMetric):
    """Plain mean of AUC over users with both classes; see `mmbee_plugin.evaluation.metrics.uauc`."""

    name = "uauc"

    def value(self, users: NDArray, labels: NDArray, scores: NDArray) -> float:
        return uauc(users, labels, scores)


class LabelledGAUC(GroupedMetric):
    """AUC over users with both classes, weighted by impressions; see `mmbee_plugin.evaluation.metrics.gauc`."""

    name = "gauc"

    def value(self, users: NDArray, labels: NDArray, scores: NDArray) -> float:
        return gauc(users, labels, scores)


METRICS: dict[str, type[GroupedMetric]] = {"uauc": UAUC, "labelledgauc": LabelledGAUC}
"""Names to register with RecBole, lower case."""


def chosen_metrics(settings: dict[str, Any]) -> list[str]:
    """`metrics` as RecBole must see them: in labelled evaluation `GAUC` is spelled `LabelledGAUC`.

    Args:
        settings: RecBole's merged settings, before it checks them; read are `metrics` and `eval_args.mode`.

    Raises:
        InputError: an unknown mode; UAUC without labelled evaluation, which needs users' labelled samples; a metric of
            rankings in labelled evaluation.
    """
    metrics = settings["metrics"]
    metrics = [metrics] if isinstance(metrics, str) else list(metrics or ())
    arguments = settings["eval_args"] if isinstance(settings.get("eval_args"), Mapping) else {}
    mode = arguments.get("mode", "full")
    modes = set(map(str, mode.values())) if isinstance(mode, Mapping) else {str(mode)}
    for one in modes:
        if not re.fullmatch(r"full|labeled|(uni|pop)[1-9]\d*", one):
            raise InputError(
                f"eval_args.mode {one!r}: known are full, labeled, uni100 and pop100, with any number of negatives"
            )
    if modes == {"labeled"}:
        metrics = ["LabelledGAUC" if metric.lower() == "gauc" else metric for metric in metrics]
    ranking = [metric for metric in metrics if metric_types.get(metric.lower()) == EvaluatorType.RANKING]
    if ranking and "labeled" in modes:
        raise InputError(
            f"metrics {', '.join(ranking)}: computed on rankings, and eval_args.mode labeled has none; choose among "
            "AUC, UAUC, GAUC, LogLoss, MAE and RMSE"
        )
    grouped = [metric for metric in metrics if metric.lower() in METRICS]
    if grouped and "full" in modes:
        raise InputError(
            f"metrics {', '.join(grouped)}: computed on labelled samples; set eval_args.mode to labeled"
        )
    return metrics


def measured(settings: Mapping[str, Any]) -> list[str]:
    """What an evaluation measures: `NDCG@10` for a metric of the best `topk`, `AUC` and `GAUC` as they are.

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
        whole = name.lower() in ("gauc", *METRICS) or metric_types.get(name.lower()) == EvaluatorType.VALUE
        names += [name] if whole else [f"{name}@{k}" for k in topk]
    return names


def chosen_valid_metric(settings: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """The metric that chooses the best epoch, one of those that are measured.

    Args:
        settings: RecBole's merged settings; read are `valid_metric`, `metrics` and `topk`.
        given: those that were asked for: a `valid_metric` that is not among them follows `metrics` and `topk`.

    Raises:
        InputError: one was asked for that is not measured, or `valid_metric_bigger` says the opposite of what holds.
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


class SampleCollector(Collector):
    """RecBole's collector, which also keeps whose sample each score belongs to, and plain values beside tensors.

    RecBole's own takes every value for a tensor, so ItemCoverage, GiniIndex, AveragePopularity and TailPercentage end
    in an AttributeError. The number of items is theirs: without the padding row, which is never recommended.
    """

    def data_collect(self, train_data: Any) -> None:
        """What the metrics need of the training split."""
        super().data_collect(train_data)
        for count in ("data.num_items", "data.num_users"):
            if count in self.data_struct:
                self.data_struct.set(count, self.data_struct.get(count) - 1)

    def eval_batch_collect(
        self,
        scores_tensor: torch.Tensor,
        interaction: Any,
        positive_u: torch.Tensor,
        positive_i: torch.Tensor,
    ) -> None:
        """scores (n,), or (users, items) when ranking; the rest as RecBole passes it."""
        super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
        if self.register.need(USERS):
            users = interaction[self.config["USER_ID_FIELD"]]
            self.data_struct.update_tensor(USERS, users.to(self.device))

    def get_data_struct(self) -> Any:
        """What was collected since the last call, and of the training split."""
        collected = DataStruct()
        for key, value in list(self.data_struct._data_dict.items()):
            of_the_pass = isinstance(value, torch.Tensor)
            collected.set(key, value.cpu() if of_the_pass else value)
            if of_the_pass:
                del self.data_struct[key]
        return collected
