"""Full ranking with RecBole's DIN: the scores of its ``predict`` for all items at once.

Stock DIN has no ``full_sort_predict``, so RecBole's trainer repeats a user's row and the lookup of its history for
every item. Here items are embedded once per batch and histories once per user. RecBole's class stays unchanged:
`Resumable` trainers set the method on the model they train.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import AbstractRecommender
from torch import Tensor, nn

if TYPE_CHECKING:
    from recbole.model.sequential_recommender.din import DIN

CELLS = 1 << 20
"""largest number of activations of one layer; bounds memory"""


def give_full_ranking(model: AbstractRecommender) -> None:
    """Sets `din_scores` as ``full_sort_predict`` of a DIN, or of a subclass that inherits its scoring."""
    # only after `compat`: this import switches anomaly detection on
    from recbole.model.sequential_recommender.din import DIN

    own = ("forward", "predict", "full_sort_predict")
    if isinstance(model, DIN) and all(getattr(type(model), name) is getattr(DIN, name) for name in own):
        model.full_sort_predict = partial(din_scores, model)


def din_scores(model: DIN, interaction: Interaction) -> Tensor:
    """Probabilities (B, n_items) of each user with every item, equal to ``DIN.predict`` of each pair."""
    return torch.sigmoid(din_logits(model, interaction))


def din_logits(model: DIN, interaction: Interaction) -> Tensor:
    r"""Logits (B, n_items) of ``DIN.forward``; for the ``full_sort_predict`` of a class that adds to them.

    The attention's first layer reads :math:`[q ; k ; q - k ; q \odot k]`. For a fixed behaviour k it is affine in the
    item q, with the matrix :math:`W_q + W_- + W_\odot \mathrm{diag}(k)`: one product serves all items. Padding is not
    scored.
    """
    items = _embedded(model)
    history, length = interaction[model.ITEM_SEQ], interaction[model.ITEM_SEQ_LEN]
    history = history[:, : max(1, int(length.max()))]
    pairs = max(1, CELLS // (history.shape[1] * max(*model.att_list[1:], *model.dnn_list)))
    parts = items.split(pairs)
    users = max(1, pairs // len(items))
    return torch.cat(
        [
            torch.cat([_logits(model, items[seen], ends, part) for part in parts], dim=1)
            for seen, ends in zip(history.split(users), length.split(users), strict=True)
        ]
    )


def _embedded(model: DIN) -> Tensor:
    """(n_items, d) concatenated field embeddings of every item, as in ``DIN.forward``."""
    nobody = torch.zeros(1, dtype=torch.long, device=model.device)
    every = torch.arange(model.n_items, device=model.device).unsqueeze(0)
    fields = [found["item"] for found in model.embedding_layer(nobody, every)]
    return torch.cat([found for found in fields if found is not None], dim=-2).flatten(2).squeeze(0)


def _logits(model: DIN, behaviours: Tensor, length: Tensor, items: Tensor) -> Tensor:
    """behaviours (B, H, d), length (B,) of the histories, items (C, d) -> (B, C)."""
    valid = torch.arange(behaviours.shape[1], device=length.device) < length.unsqueeze(1)
    found = behaviours[valid]  # (N, d)
    first, *rest = _layers(model.attention.att_mlp_layers, model.attention.dense)
    of_item, of_behaviour, of_difference, of_product = first.weight.chunk(4, dim=1)
    matrix = of_item + of_difference + of_product * found.unsqueeze(1)  # (N, h, d)
    constant = found @ (of_behaviour - of_difference).T + first.bias
    hidden = torch.addmm(constant.flatten(), items, matrix.flatten(0, 1).T).unflatten(1, constant.shape)
    weight = behaviours.new_zeros(len(items), *valid.shape)
    weight[:, valid] = nn.Sequential(*rest)(hidden).squeeze(2) / math.sqrt(items.shape[1])
    interest = weight.transpose(0, 1) @ behaviours  # (B, C, d)

    first, *rest = _layers(model.dnn_mlp_layers, model.dnn_predict_layers)
    of_interest, of_item, of_product = first.weight.chunk(3, dim=1)
    hidden = interest @ of_interest.T + (interest * items) @ of_product.T + (items @ of_item.T + first.bias)
    return nn.Sequential(*rest)(hidden.flatten(0, 1)).view(interest.shape[:2])


def _layers(mlp: Any, last: nn.Linear) -> list[Any]:
    """The layers of RecBole's MLP and the last one, without dropout, which is inactive in evaluation."""
    return [layer for layer in (*mlp.mlp_layers, last) if not isinstance(layer, nn.Dropout)]
