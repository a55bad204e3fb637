"""Negative items, uniform or by popularity, except the user's positives; seeded and resumable."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from recbole.config import Config
from recbole.data.dataset import Dataset
from torch import Tensor
from torch.utils.data import get_worker_info

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.stock_settings import repeats
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.data.training_rows import training_rows

PHASES = ("train", "valid", "test")
REDRAWS = 32


class NegativeSampler:
    """Draws items that are no positive of the user in this phase or an earlier one.

    A whole batch is drawn at once; draws that hit a positive (binary search in the sorted pairs) are repeated up to 32
    times, and those left, of users with nearly every item, are drawn from the items these users lack.

    Args:
        phase: `train`, `valid` or `test`.
        positives: sorted distinct int64 `user * n_items + item` of the phase and those before it.
        n_users, n_items: number of ids, padding included; item 0 is never drawn.
        seed: of this sampler's own random stream.
        weights: (n_items,) relative frequency of each item, or None for uniform.
        user_tokens: (n_users,) names for error messages.
        repeatable: exclude only the row's own positive, as RecBole's RepeatableSampler.

    Raises:
        InputError: a user has no item left to draw.
    """

    def __init__(
        self,
        phase: str,
        positives: NDArray[np.int64],
        n_users: int,
        n_items: int,
        seed: int,
        weights: NDArray[np.float64] | None,
        user_tokens: NDArray,
        repeatable: bool = False,
    ) -> None:
        self.phase = phase
        self.n_users, self.n_items = n_users, n_items
        self.repeatable = repeatable
        if repeatable:
            positives = np.empty(0, dtype=np.int64)
        self._positives = torch.from_numpy(positives)
        drawable = np.arange(n_items) > 0 if weights is None else (weights > 0) & (np.arange(n_items) > 0)
        self._weights = torch.from_numpy(
            drawable.astype(np.float64) if weights is None else weights * drawable
        )
        self._cumulative = None if weights is None else torch.cumsum(self._weights, 0)
        taken = positives[drawable[positives % n_items]] // n_items
        full = np.flatnonzero(np.bincount(taken, minlength=n_users) >= drawable.sum())
        if repeatable and drawable.sum() < 2:
            raise InputError(f"{phase}: no second item exists to be drawn as a negative")
        if len(full):
            raise InputError(
                f"user {str(user_tokens[full[0]])!r} has all {drawable.sum():,} items as positives, so no "
                "negative exists; leave such users out (user_inter_num_interval, of data that do not come split)"
            )
        self._seed = seed
        self._generator = torch.Generator()
        self._worker_seed: int | None = None
        self.restart()

    @property
    def used_ids(self) -> NDArray:
        """(n_users,) object array of sets, the items never drawn for each user, as in RecBole; built on each access."""
        keys = self._positives.numpy()
        edges = np.searchsorted(keys, np.arange(1, self.n_users) * self.n_items)
        sets = np.empty(self.n_users, dtype=object)
        sets[:] = [set(items.tolist()) for items in np.split(keys % self.n_items, edges)]
        return sets

    def sample_by_user_ids(self, user_ids: ArrayLike, item_ids: ArrayLike | None, num: int) -> Tensor:
        """`num` negatives for each user (B,): flat (num * B,), draw j of user b at `j * B + b`, as RecBole lays it out.

        `item_ids` (B,), the rows' own positives, are read only if `repeatable`.
        """
        self._follow_worker()
        users = torch.as_tensor(np.asarray(user_ids), dtype=torch.long)
        if len(users) and (int(users.min()) < 0 or int(users.max()) >= self.n_users):
            raise ValueError(
                f"user ids from {int(users.min())} to {int(users.max())}; known: 0 to {self.n_users - 1}"
            )
        base = users.repeat(num) * self.n_items
        items = self._draw(len(base))
        own = torch.as_tensor(np.asarray(item_ids)).repeat(num) if self.repeatable else None
        clash = torch.arange(len(base))
        for _ in range(REDRAWS):
            taken = (
                self._is_positive(base[clash] + items[clash]) if own is None else items[clash] == own[clash]
            )
            clash = clash[taken]
            if len(clash) == 0:
                return items
            items[clash] = self._draw(len(clash))
        groups = base[clash] if own is None else own[clash]
        for group in groups.unique().tolist():
            rows = clash[groups == group]
            left = self._weights.clone()
            if own is None:
                low, high = torch.searchsorted(
                    self._positives, torch.tensor([group, group + self.n_items])
                ).tolist()
                left[self._positives[low:high] - group] = 0
            else:
                left[group] = 0
            items[rows] = torch.multinomial(left, len(rows), replacement=True, generator=self._generator)
        return items

    def restart(self) -> None:
        """Resets the random stream, so that every evaluation ranks against the same negatives."""
        self._generator.manual_seed(self._seed)

    def get_state(self) -> Tensor:
        """State of the random stream (uint8), for a checkpoint."""
        return self._generator.get_state()

    def set_state(self, state: Tensor) -> None:
        """Continues from a state of `get_state`."""
        self._generator.set_state(state)

    def _draw(self, count: int) -> Tensor:
        if self._cumulative is None:
            return torch.randint(1, self.n_items, (count,), generator=self._generator)
        point = torch.rand(count, dtype=torch.float64, generator=self._generator) * self._cumulative[-1]
        # right=True: a point on an edge goes to the next item, so that items of weight 0 are never drawn
        return torch.searchsorted(self._cumulative, point, right=True).clamp_(max=self.n_items - 1)

    def _is_positive(self, keys: Tensor) -> Tensor:
        if len(self._positives) == 0:
            return torch.zeros_like(keys, dtype=torch.bool)
        place = torch.searchsorted(self._positives, keys).clamp_(max=len(self._positives) - 1)
        return self._positives[place] == keys

    def _follow_worker(self) -> None:
        """Reseeds in a loader's worker process, which starts with a copy of the stream: each epoch has its own."""
        worker = get_worker_info()
        if worker is not None and worker.seed != self._worker_seed:
            self._worker_seed = worker.seed
            self._generator.manual_seed((self._seed * 1_000_003 + worker.seed) % 2**63)


def make_samplers(
    config: Config, dataset: Dataset, built: list[Dataset]
) -> tuple[NegativeSampler | None, NegativeSampler | None, NegativeSampler | None] | None:
    """The samplers of the three phases, None for a phase that draws nothing (full ranking, labels).

    Popularity is counted on the training split and raised to `alpha` of `train_neg_sample_args`. Without
    `new_as_negatives`, uniform draws in training are of positives of the rows that are trained on.

    Returns:
        None for RecBole's own samplers: under another dataset class, or `sampler: recbole`.

    Raises:
        InputError: a user without any possible negative.
    """
    if config["sampler"] == "recbole" or not isinstance(dataset, MMBeeDataset):
        return None
    counts = np.bincount(
        built[0].inter_feat[dataset.iid_field].numpy()[built[0].positive_rows()], minlength=dataset.item_num
    )
    alpha = config["train_neg_sample_args"]["alpha"]
    weights = np.where(
        counts > 0, counts.astype(np.float64) ** (1.0 if alpha == "none" else float(alpha)), 0.0
    )
    met = None
    if config["new_as_negatives"] is False:  # a setting of models that may leave them out
        met = (training_rows(built[0]).counts(dataset.item_num) > 0).astype(np.float64)
    positives = np.empty(0, dtype=np.int64)
    samplers: list[NegativeSampler | None] = []
    for number, (phase, split) in enumerate(zip(PHASES, built, strict=True)):
        positives = np.union1d(positives, split.positive_keys())
        arguments = config[f"{phase}_neg_sample_args"]
        if "none" in (arguments["distribution"], arguments["sample_num"]):  # full ranking draws none either
            samplers.append(None)
            continue
        by_popularity = arguments["distribution"] == "popularity"
        samplers.append(
            NegativeSampler(
                phase,
                positives,
                dataset.user_num,
                dataset.item_num,
                seed=len(PHASES) * int(config["seed"]) + number,
                weights=weights if by_popularity else met if phase == "train" else None,
                user_tokens=dataset.field2id_token[dataset.uid_field],
                repeatable=repeats(config),
            )
        )
    train, valid, test = samplers
    return train, valid, test
