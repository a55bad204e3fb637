"""Restores a trained model from its checkpoint and scores a split with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.data import data_preparation
from recbole.utils import get_model, init_seed

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.experiments.comparison import Samples
from mmbee_plugin.experiments.training import EVALUATED
from mmbee_plugin.recbole.run import LABELLED_RUN, load_mmbee, seeded_dataset
from mmbee_plugin.recbole.training.logs import without_recbole_warnings


@dataclass(frozen=True)
class Trained:
    """A checkpoint's model on its data, in evaluation mode.

    Attributes:
        config: RecBole's Config of the run.
        network: the model; studies change its tables for one scoring and restore them.
        train: the training split, an :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`.
        loaders: RecBole's, of ``valid`` and ``test``.
    """

    path: Path
    folder: DatasetFolder
    config: Any
    network: Any
    train: Any
    loaders: dict[str, Any]

    @property
    def tested(self) -> bool:
        """Whether differences get p-values: False for generated samples, where they would be meaningless."""
        return self.folder.kind != "sample"

    @property
    def origin(self) -> float:
        """Zero of the dataset's times, on the folder's clock; the data must have time."""
        found = first_time(self.folder)
        assert found is not None
        return found

    def rows(self, split: str) -> Any:
        """The split's dataset, in the order of :meth:`scores`; for live data the file's order.

        Raises InputError if the folder has no such part.
        """
        return self._loader(split).dataset

    def samples(self, split: str) -> Samples:
        """The split's labelled rows, in the order of :meth:`scores`; times in seconds on the folder's clock."""
        rows = self.rows(split)
        users = rows.user_rows[rows.inter_feat[rows.uid_field].numpy()]
        since = first_time(self.folder)
        times = None if rows.times is None or since is None else rows.times + since
        return Samples(users.astype(np.int32), rows.positive_rows(), times)

    def scores(self, split: str) -> NDArray:
        """(n,) float32 score of every row by the model in its present state; probabilities if the loss is logistic."""
        return predictions(self.network, self._loader(split))[0]["scores"]

    def logits(self, split: str) -> NDArray[np.float64]:
        """(n,) the same before a logistic loss's sigmoid."""
        values = self.scores(split).astype(np.float64)
        if self.network.objective.loss != "bce":
            return values
        values = values.clip(1e-9, 1 - 1e-9)
        return np.log(values) - np.log1p(-values)

    def _loader(self, split: str) -> Any:
        self.folder.check_part(split)
        return self.loaders[split]


def open_trained(path: Path) -> Trained:
    """Restores an MMBee run on labelled data from RecBole's checkpoint; builds its graph if it is missing.

    Raises:
        InputError: as `load_mmbee`; a run without labels; data that have changed since the run; weights of another
            version.
    """
    state = load_mmbee(path)
    config = state["config"]
    if set(config["eval_args"]["mode"].values()) != {"labeled"}:
        raise InputError(
            f"{path}: a run that ranked, expected one evaluated on labelled samples, as {LABELLED_RUN} makes"
        )
    with without_recbole_warnings():
        folder = DatasetFolder(Path(config["data_path"]))
        if folder.hash != config["dataset_hash"]:
            raise InputError(f"{path}: {folder.path} has changed since that run")
        train, *evaluated = data_preparation(config, seeded_dataset(config))
        init_seed(config["seed"], config["reproducibility"])
        network = get_model("MMBee")(config, train.dataset).to(config["device"])
    try:
        network.load_state_dict(state["state_dict"])
    except RuntimeError as error:
        raise InputError(f"{path}: other weights than this version's: {one_line(error)}") from None
    network.eval()
    loaders = dict(zip(EVALUATED, evaluated, strict=True))
    return Trained(path, folder, config, network, train.dataset, loaders)


def first_time(folder: DatasetFolder) -> float | None:
    """The folder's origin, which is zero in its dataset; None without time."""
    return folder.origin if folder.ordered else None


@torch.no_grad()
def predictions(network: Any, loader: Any, origin: float | None = None) -> tuple[dict[str, NDArray], float]:
    """Scores every row of a labelled loader.

    Args:
        origin: zero of the dataset's times; None without time.

    Returns:
        columns in the loader's order, users (n,) int32 rows of the folder, labels (n,) bool, scores (n,) float32 and,
        with time, times (n,) float64 in the file's unit; and the seconds of scoring.
    """
    dataset = loader.dataset
    fields = {"users": dataset.uid_field, "labels": dataset.label_field}
    if origin is not None:
        fields["times"] = dataset.time_field
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in (*fields, "scores")}
    begun = time.perf_counter()
    for batch, *_ in loader:
        parts["scores"].append(network.predict(batch.to(network.device)).float().cpu())
        for name, field in fields.items():
            parts[name].append(batch[field].cpu())
    seconds = time.perf_counter() - begun
    found = {name: torch.cat(values).numpy() for name, values in parts.items()}
    found["users"] = dataset.user_rows[found["users"]].astype(np.int32)
    found["labels"] = found["labels"] > 0
    if origin is not None:
        found["times"] = found["times"].astype(np.float64) + origin
    return found, seconds
