"""FBSM: a bilinear similarity of item features, by ridge regression in closed form."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType, ModelType
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import svds
from torch import Tensor, nn

from mmbee_plugin.data.features import BagFeatures, DenseFeatures
from mmbee_plugin.modules.tokens import WORD_WIDTH
from mmbee_plugin.recbole.config.baselines import FBSMSettings
from mmbee_plugin.recbole.config.modalities import needed_modalities
from mmbee_plugin.recbole.data.modalities import DenseTable
from mmbee_plugin.recbole.data.split import TrainingSplit


class FBSM(GeneralRecommender):
    r"""FBSM (Sharma et al., SDM 2015): an item's score is a bilinear form of its features and of those of the user's
    items, so that items which nobody took have one like any other. W is learned from all pairs of users and items, 1
    where the user took the item in training and 0 elsewhere:

    .. math::
        y_{ui} &= p_u^\top W x_i, \qquad
            p_u = \frac{1}{|N(u)|} \sum_{j \in N(u)} x_j, \qquad
            p_{u \setminus i} = \frac{1}{|N(u)| - 1} \sum_{j \in N(u), j \neq i} x_j \\
        W &= \arg\min_W \sum_{u, i} (p_u^\top W x_i)^2
            - 2 \sum_u \sum_{i \in N(u)} p_{u \setminus i}^\top W x_i + \lambda \lVert W \rVert^2

    which is solved by eigenvectors of :math:`\sum_u p_u p_u^\top` and :math:`\sum_i x_i x_i^\top`. x has each modality
    standardised and of unit length, zeros where it is missing, and a constant 1; a bag of words is its leading
    components. No ids are read.

    Where this differs from the paper:

    * W is a whole matrix under ridge regression, in closed form; there a diagonal and a matrix of low rank are trained
      by gradient descent;
    * a user's items are averaged, there they are summed; as there, an item does not speak for itself: the pair's own
      item is left out of the user's mean, in the term that rewards its score.

    Args:
        config: RecBole's Config with the settings of :class:`~mmbee_plugin.recbole.config.baselines.FBSMSettings`.
        dataset: the training split; its positive pairs count.

    Raises:
        InputError: data without item features.
    """

    input_type = InputType.POINTWISE
    type = ModelType.TRADITIONAL
    declared = FBSMSettings
    reads_history = False  # read by the dataset, which then attaches no histories
    refuse_settings = staticmethod(needed_modalities)
    users: Tensor
    items: Tensor

    def __init__(self, config: Config, dataset: TrainingSplit) -> None:
        super().__init__(config, dataset)
        penalty = FBSMSettings.among(config).reg_weight
        keys = dataset.positive_keys()
        ones = np.ones(len(keys))
        taken = csr_matrix(
            (ones, (keys // self.n_items, keys % self.n_items)), shape=(self.n_users, self.n_items)
        )
        items = item_vectors(config, dataset)
        users = np.asarray(_means(taken, items) @ bilinear_weights(taken, items, penalty))
        self.register_buffer("users", torch.from_numpy(users).float(), persistent=False)
        self.register_buffer("items", torch.from_numpy(items).float(), persistent=False)
        self.nothing_to_train = nn.Parameter(torch.zeros(1))  # RecBole's optimizer needs a weight

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """0: the weights are solved for when the model is made."""
        return self.nothing_to_train.sum()

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores (B,) of aligned users and items."""
        return (self.users[interaction[self.USER_ID]] * self.items[interaction[self.ITEM_ID]]).sum(dim=1)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores (B, n_items) of each user against every item."""
        scores = self.users[interaction[self.USER_ID]] @ self.items.T
        scores[:, 0] = -torch.inf
        return scores


def bilinear_weights(taken: csr_matrix, items: NDArray, penalty: float) -> NDArray:
    """The minimiser W (d, d) of the squared loss in :class:`FBSM`.

    Args:
        taken: (U, I) 0/1, the training pairs. items: (I, d) feature vectors. penalty: lambda, above 0.
    """
    means, sums = _means(taken, items), taken @ items
    degrees = np.diff(taken.indptr)
    others = np.where(degrees > 1, 1 / np.maximum(degrees - 1, 1), 0.0)
    cross = sums.T @ (others[:, None] * sums) - items.T @ ((taken.T @ others)[:, None] * items)
    of_users, left = np.linalg.eigh(means.T @ means)
    of_items, right = np.linalg.eigh(items.T @ items)
    scale = np.outer(of_users.clip(0), of_items.clip(0)) + penalty
    return left @ ((left.T @ cross @ right) / scale) @ right.T


def item_vectors(config: Config, dataset: TrainingSplit) -> NDArray[np.float64]:
    """The features (n_items, d) of RecBole's items, of all modalities that the model reads, and a constant 1.

    Raises:
        InputError: the data have no item features.
    """
    folder, blocks = dataset.folder, [np.ones((dataset.item_num, 1))]
    for name in needed_modalities(config, folder):
        if folder.live is not None:
            assert dataset.trained_until is not None  # live data have time
            features = folder.segments.author_means(name, dataset.trained_until)
        else:
            stored = folder.features(name)
            features = leading_components(stored) if isinstance(stored, BagFeatures) else stored
        values = DenseTable(features, dataset.item_rows).values.numpy().astype(np.float64)
        blocks.append(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))
    return np.hstack(blocks)


def leading_components(bag: BagFeatures, width: int = WORD_WIDTH) -> DenseFeatures:
    """Bags of words, of unit length each, on their leading ``width`` singular vectors; as they are if those are all."""
    counts = csr_matrix(
        (np.ones(len(bag.words)), bag.words, bag.indptr), shape=(len(bag.present), bag.vocabulary)
    )
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    scaled = diags(1 / np.maximum(lengths, 1e-12)) @ counts
    if width < min(scaled.shape):
        left, strengths, _ = svds(scaled, k=width, v0=np.ones(min(scaled.shape)))
        values = left * strengths
    else:
        values = scaled.toarray()
    return DenseFeatures(values.astype(np.float32), bag.present)


def _means(taken: csr_matrix, items: NDArray) -> NDArray:
    """(U, d) mean features of each user's items; zeros for a user without any."""
    return (taken @ items) / np.maximum(np.diff(taken.indptr), 1)[:, None]
