"""The labelled protocol: AUC, UAUC, GAUC and LogLoss of labelled samples in one run.

RecBole's own GAUC ranks items, so it cannot stand beside AUC, and its collector forgets whose sample it is.
Here the two grouped metrics are value metrics like AUC and LogLoss, on the definitions of
`mmbee_plugin.metrics`. In a run that evaluates labels, `GAUC` in `metrics` means the labelled one; in a
ranking run it stays RecBole's.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from recbole.evaluator import Collector
from recbole.evaluator.base_metric import AbstractMetric
from recbole.utils import EvaluatorType

from mmbee_plugin.errors import InputError
from mmbee_plugin.metrics import gauc, uauc

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
    """Plain mean of AUC over users with both classes; see `mmbee_plugin.metrics.uauc`."""

    name = "uauc"

    def value(self, users: NDArray, labels: NDArray, scores: NDArray) -> float:
        return uauc(users, labels, scores)


class LabelledGAUC(GroupedMetric):
    """AUC over users with both classes, weighted by impressions; see `mmbee_plugin.metrics.gauc`."""

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
        InputError: UAUC without labelled evaluation, which needs users' labelled samples.
    """
    metrics = settings["metrics"]
    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    mode = (settings.get("eval_args") or {}).get("mode", "full")
    modes = set(mode.values()) if isinstance(mode, dict) else {mode}
    if modes == {"labeled"}:
        return ["LabelledGAUC" if metric.lower() == "gauc" else metric for metric in metrics]
    grouped = [metric for metric in metrics if metric.lower() in METRICS]
    if grouped and "full" in modes:
        raise InputError(
            f"metrics {', '.join(grouped)}: computed on labelled samples; set eval_args.mode to labeled"
        )
    return metrics


class SampleCollector(Collector):
    """RecBole's collector, which also keeps whose sample each score belongs to."""

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
        """What was collected since the last call."""
        collected = super().get_data_struct()
        if USERS in self.data_struct:
            del self.data_struct[USERS]
        return collected
