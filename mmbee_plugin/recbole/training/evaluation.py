"""The labelled protocol: AUC, UAUC, GAUC and LogLoss of labelled samples in one run.

RecBole's GAUC is a ranking metric and cannot be combined with AUC, and its collector drops the users of samples. Here
the two grouped metrics are value metrics like AUC and LogLoss, defined in `mmbee_plugin.evaluation.metrics`. In
labelled evaluation `GAUC` in `metrics` means the labelled one, in ranking RecBole's.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction
from recbole.evaluator import Collector
from recbole.evaluator.base_metric import AbstractMetric
from recbole.evaluator.collector import DataStruct
from recbole.utils import EvaluatorType

from mmbee_plugin.evaluation.metrics import gauc, uauc
from mmbee_plugin.recbole.config.metrics import GROUPED

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

    @staticmethod
    def value(users: NDArray, labels: NDArray, scores: NDArray) -> float:
        """users, labels, scores (n,) each -> the metric."""
        raise NotImplementedError


class UAUC(GroupedMetric):
    """Plain mean of AUC over users with both classes; see `mmbee_plugin.evaluation.metrics.uauc`."""

    name, value = "uauc", staticmethod(uauc)


class LabelledGAUC(GroupedMetric):
    """AUC over users with both classes, weighted by impressions; see `mmbee_plugin.evaluation.metrics.gauc`."""

    name, value = "gauc", staticmethod(gauc)


METRICS: dict[str, type[GroupedMetric]] = dict(zip(GROUPED, (UAUC, LabelledGAUC), strict=True))
"""Names to register with RecBole, lower case."""


class SampleCollector(Collector):
    """RecBole's collector, which also keeps the user of each score, and values that are no tensors.

    RecBole's own takes every value for a tensor, so ItemCoverage, GiniIndex, AveragePopularity and TailPercentage raise
    AttributeError. Numbers of items and users exclude padding here, which is never recommended.
    """

    def data_collect(self, train_data: AbstractDataLoader) -> None:
        """Collects what the metrics read of the training split."""
        super().data_collect(train_data)
        for count in ("data.num_items", "data.num_users"):
            if count in self.data_struct:
                self.data_struct.set(count, self.data_struct.get(count) - 1)

    def eval_batch_collect(
        self,
        scores_tensor: torch.Tensor,
        interaction: Interaction,
        positive_u: torch.Tensor,
        positive_i: torch.Tensor,
    ) -> None:
        """Scores (n,), or (users, items) when ranking; other arguments as in RecBole."""
        super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
        if self.register.need(USERS):
            users = interaction[self.config["USER_ID_FIELD"]]
            self.data_struct.update_tensor(USERS, users.to(self.device))

    def get_data_struct(self) -> Any:
        """The values collected since the last call, and those of the training split."""
        collected = DataStruct()
        for key, value in list(self.data_struct._data_dict.items()):
            of_the_pass = isinstance(value, torch.Tensor)
            collected.set(key, value.cpu() if of_the_pass else value)
            if of_the_pass:
                del self.data_struct[key]
        return collected
