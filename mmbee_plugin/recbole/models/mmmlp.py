"""MMMLP: multi-layer perceptrons that mix positions and channels of a sequence's ids and features."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor, nn

from mmbee_plugin.modules.losses import log_expected_draws, sampled_softmax
from mmbee_plugin.modules.named import module_name
from mmbee_plugin.recbole.config.baselines import MMMLPSettings
from mmbee_plugin.recbole.config.modalities import needed_modalities
from mmbee_plugin.recbole.data.split import TrainingSplit
from mmbee_plugin.recbole.data.training_rows import training_rows
from mmbee_plugin.recbole.models.multimodal import ItemContent, linear, xavier


class MMMLP(SequentialRecommender):
    r"""MMMLP (Liang et al., WWW 2023): the newest S items of a user, as ids and as features of every modality,

    .. math::
        \mathrm{Mixer}(X): \; Y &= X + W_2 \, \mathrm{gelu}(W_1 \mathrm{LN}(X)) \quad \text{over positions} \\
        Z &= Y + \mathrm{gelu}(\mathrm{LN}(Y) W_3 + b_3) W_4 + b_4 \quad \text{over channels} \\
        X_{id} &= \mathrm{LN}(E[ids]), \qquad X_m = \mathrm{LN}(f_m[ids] W_m), \qquad
        X_k \leftarrow \mathrm{Mixer}_k^{n}(X_k) \\
        q_u &= \mathrm{LN}(\mathrm{Mixer}_f^{n_f}(\mathrm{LN}([X_{id} ; X_1 ; \ldots])) W_f + b_f)
               \text{ at the last valid position}, \qquad y_{ui} = \langle q_u, E_i \rangle

    trained by the cross-entropy over all items, one target a prefix; above `softmax_items` items by a softmax over the
    batch's targets and `sampled_items` uniform draws, corrected for how often each is drawn. Padding is on the right;
    its rows are zero wherever positions are mixed. W1 distinguishes positions, so there is no position table.

    Where paper and authors' code differ: the paper's fusion mixer is one linear layer in the code; the code's image and
    text loops restart from the same input, so that four layers equal one; its id layers share one set of weights; one
    LayerNorm serves both ends; features are not masked. Here layers are stacked and have weights of their own. The
    original mixes raw pictures; here extracted features replace them.

    Args:
        config: RecBole's Config with the settings of :class:`~mmbee_plugin.recbole.config.baselines.MMMLPSettings`.
    """

    drawn: Tensor
    declared = MMMLPSettings
    refuse_settings = staticmethod(needed_modalities)

    def __init__(self, config: Config, dataset: TrainingSplit) -> None:
        super().__init__(config, dataset)
        chosen = MMMLPSettings.among(config)
        width = chosen.embedding_size
        self.label_field = config["LABEL_FIELD"]
        self.all_up_to = chosen.softmax_items
        self.draws = chosen.sampled_items
        self.content = ItemContent(config, dataset, lambda _: width)
        self.items = nn.Embedding(self.n_items, width, padding_idx=0)
        counts = torch.from_numpy(training_rows(dataset).counts(self.n_items)).float()
        self.register_buffer("drawn", counts, persistent=False)

        def mixers(channels: int, depth: int) -> nn.ModuleList:
            shape = (self.max_seq_length, channels, chosen.expansion, chosen.dropout_prob)
            return nn.ModuleList(Mixer(*shape) for _ in range(depth))

        streams = ["id", *(f"of {module_name(name)}" for name in self.content.widths)]
        joined = width * len(streams)
        self.start = nn.ModuleDict({name: nn.LayerNorm(width) for name in streams})
        self.mixers: Any = nn.ModuleDict({name: mixers(width, chosen.n_layers) for name in streams})
        self.join = nn.LayerNorm(joined)
        self.fusion = mixers(joined, chosen.n_fusion_layers)
        self.output = linear(joined, width)
        self.end = nn.LayerNorm(width)
        self.apply(_start)

    def forward(self, history: Tensor, length: Tensor) -> Tensor:
        """history (B, S) item ids padded on the right with 0, length (B,) from 1 -> q (B, d).

        Rows are padded only to mix positions; everything else runs on the n valid places.
        """
        history = history[:, : max(1, int((history > 0).sum(dim=1).max()))]
        places = history.flatten().nonzero().squeeze(1)
        pool, item = history.flatten()[places].unique(return_inverse=True)
        content, _ = self.content(pool)
        mixed = []
        for vectors, (name, start) in zip(
            [self.items(pool), *content.values()], self.start.items(), strict=True
        ):
            x = start(vectors)[item]
            for mixer in self.mixers[name]:
                x = mixer(x, places, history.shape)
            mixed.append(x)
        x = self.join(torch.cat(mixed, dim=1))
        for mixer in self.fusion:
            x = mixer(x, places, history.shape)
        last = self.gather_indexes(padded(x, places, history.shape), length - 1)
        return self.end(self.output(last))

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Cross-entropy of the rows' items; of labelled rows only those with label 1."""
        query = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        target = interaction[self.POS_ITEM_ID]
        if self.label_field in interaction:
            kept = interaction[self.label_field] > 0
            query, target = query[kept], target[kept]
        if len(target) == 0:
            return query.sum()
        if self.n_items <= self.all_up_to:
            return F.cross_entropy(query @ self.items.weight[1:].T, target - 1)
        drawn = torch.randint(1, self.n_items, (self.draws,), device=target.device)
        pool, place = torch.cat([target, drawn]).unique(return_inverse=True)
        counts, authors = self.drawn[pool], self.n_items - 1
        expected = log_expected_draws(counts, self.drawn.sum(), len(target), self.draws, authors)
        logits = query @ self.items(pool).T
        return sampled_softmax(logits, place[: len(target)], log_expected=expected)

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores (B,) of the rows' histories and items."""
        query = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        return (query * self.items(interaction[self.ITEM_ID])).sum(dim=1)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores (B, n_items) of each history against every item."""
        scores = (
            self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]) @ self.items.weight.T
        )
        scores[:, 0] = -torch.inf
        return scores


class Mixer(nn.Module):
    """One block: mixes positions, alike for every channel, then channels, alike for every position.

    Args:
        positions, channels: S and d.
        ratio: width of the hidden layers relative to their inputs.
        dropout: after both parts.
    """

    def __init__(self, positions: int, channels: int, ratio: int, dropout: float) -> None:
        super().__init__()
        self.before_positions, self.before_channels = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.spread, self.gather = xavier(ratio * positions, positions), xavier(positions, ratio * positions)
        self.widen, self.narrow = linear(channels, ratio * channels), linear(ratio * channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, places: Tensor, shape: torch.Size) -> Tensor:
        """x (n, d) at the valid `places` (n,) of the flattened (B, L), L <= S -> (n, d)."""
        length = shape[1]
        normal = padded(self.before_positions(x), places, shape)
        across = self.gather[:length] @ F.gelu(self.spread[:, :length] @ normal)
        x = x + self.dropout(across.flatten(0, 1)[places])
        return x + self.dropout(self.narrow(F.gelu(self.widen(self.before_channels(x)))))


def padded(x: Tensor, places: Tensor, shape: torch.Size) -> Tensor:
    """x (n, d) at `places` (n,) of the flattened (B, L) -> (B, L, d), zero elsewhere."""
    return x.new_zeros(shape.numel(), x.shape[1]).index_copy(0, places, x).unflatten(0, shape)


def _start(module: nn.Module) -> None:
    """Draws tables and matrices normally with standard deviation 0.02."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    elif isinstance(module, Mixer):
        nn.init.normal_(module.spread, std=0.02)
        nn.init.normal_(module.gather, std=0.02)
