"""A trained model put back together from its checkpoint, and the scores it gives a split."""

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
        network: the model; its tables may be changed and put back between two scorings.
        train: the training split, an :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`.
        loaders: of the rows of ``valid`` and ``test``.
    """

    path: Path
    folder: DatasetFolder
    config: Any
    network: Any
    train: Any
    loaders: dict[str, Any]

    @property
    def tested(self) -> bool:
        """Whether differences on these data have p-values; those of generated samples say nothing."""
        return self.folder.kind != "sample"

    @property
    def origin(self) -> float:
        """What the data's times count from; of data with time."""
        found = first_time(self.folder)
        assert found is not None
        return found

    def rows(self, split: str) -> Any:
        """The dataset of a split's rows, in the order of :meth:`scores`; of live data that is the file's order."""
        return self.loaders[split].dataset

    def samples(self, split: str) -> Samples:
        """The labelled rows of a split, in the order of :meth:`scores`; times in seconds of the folder's clock."""
        rows = self.rows(split)
        users = rows.user_rows[rows.inter_feat[rows.uid_field].numpy()]
        since = first_time(self.folder)
        times = None if rows.times is None or since is None else rows.times + since
        return Samples(users.astype(np.int32), rows.positive_rows(), times)

    def scores(self, split: str) -> NDArray:
        """(n,) float32, the score of every row by the model as it is now: chances where the loss is logistic."""
        return predictions(self.network, self.loaders[split])[0]["scores"]


def open_trained(path: Path) -> Trained:
    """The model of a RecBole checkpoint of MMBee on labelled data; its graph is built if it is not there.

    Raises:
        InputError: as `load_mmbee`; a checkpoint of a run without labels; data that have changed since the run.
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
    """The earliest time of a folder, from which its dataset counts; None without time."""
    times = folder.interactions().timestamps if folder.ordered else None
    return None if times is None else float(times.min())


@torch.no_grad()
def predictions(network: Any, loader: Any, origin: float | None = None) -> tuple[dict[str, NDArray], float]:
    """Every row of a labelled loader with its score.

    Args:
        origin: what the dataset's times count from; None where there is no time.

    Returns:
        users (n,) int32 rows of the folder, labels (n,) bool, scores (n,) float32 and, with time, times (n,) float64 in
        the file's unit, in the loader's order; and the seconds it took.
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
