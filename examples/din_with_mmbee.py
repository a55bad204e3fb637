"""Adds MFQ and GIE to RecBole's own DIN: an example of MMBee's parts in another model.

python examples/din_with_mmbee.py --dataset=tiktok --epochs=3 --eval_step=3

The class defines ``full_sort_predict`` since it adds to the logit; for RecBole's DIN the trainer of this package does.
"""

import sys
from typing import Any

import torch
from recbole.model.sequential_recommender.din import DIN
from torch import Tensor, nn

from mmbee_plugin.graph.metapaths import PAPER_METAPATHS
from mmbee_plugin.modules.gie import GIE
from mmbee_plugin.modules.mfq import MFQ
from mmbee_plugin.modules.tokens import ContentSettings
from mmbee_plugin.recbole import register_model
from mmbee_plugin.recbole.config import settings
from mmbee_plugin.recbole.data.content import ContentTable
from mmbee_plugin.recbole.data.dataloader import FOLD
from mmbee_plugin.recbole.data.interest import InterestTable
from mmbee_plugin.recbole.offline import open_snapshot
from mmbee_plugin.recbole.run import main
from mmbee_plugin.recbole.training.din import din_logits


class DINWithMMBee(DIN):
    """DIN whose logit gains a learned linear function of [h_m ; h(u) ; h(a)]."""

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        width = config["embedding_size"]
        self.content = ContentTable(dataset, tuple(dataset.folder.modalities), width)
        self.mfq = MFQ(ContentSettings(widths=self.content.widths, width=width, heads=2))
        snapshot = open_snapshot(dataset, settings.graph_settings(config))
        paths = settings.chosen_metapaths(config)
        self.interest = InterestTable(dataset, snapshot, paths, width, pretrained=False)
        self.gie = nn.ModuleDict({side: GIE(self.interest.names(side), width) for side in "ua"})
        widths = {"u": self.gie["u"].out_width, "a": self.mfq.out_width + self.gie["a"].out_width}
        self.weights = nn.ModuleDict({side: nn.Linear(widths[side], 1) for side in "ua"})
        self.fold: int | None = None

    def calculate_loss(self, interaction: Any) -> Tensor:
        # Cross-fitting: neighbours of training rows come from a graph without the gifts of the batch's fold.
        self.fold = int(interaction[FOLD][0]) if FOLD in interaction else None
        loss = super().calculate_loss(interaction)
        self.fold = None
        return loss

    def forward(self, user: Tensor, item_seq: Tensor, item_seq_len: Tensor, next_items: Tensor) -> Tensor:
        users, user_row = user.unique(return_inverse=True)
        items, item_row = next_items.unique(return_inverse=True)
        added = self.added("u", users)[user_row] + self.added("a", items)[item_row]
        return super().forward(user, item_seq, item_seq_len, next_items) + added

    def full_sort_predict(self, interaction: Any) -> Tensor:
        of_authors = self.added("a", torch.arange(self.n_items, device=self.device))
        added = self.added("u", interaction[self.USER_ID]).unsqueeze(1) + of_authors
        return torch.sigmoid(din_logits(self, interaction) + added)

    def added(self, side: str, nodes: Tensor) -> Tensor:
        found = (self.interest.user if side == "u" else self.interest.author)(nodes, self.fold)
        parts = [self.gie[side](found["neighbours"], found["neighbour_count"])]
        if side == "a":
            parts.append(self.mfq(self.content(nodes, self.interest.nodes["a"](nodes))))
        return self.weights[side](torch.cat(parts, dim=1)).squeeze(1)


DEFAULTS = {"interest": "gie", "metapaths": list(PAPER_METAPATHS), "graph": {"folds": 5}}
register_model(DINWithMMBee, DEFAULTS)

if __name__ == "__main__":
    raise SystemExit(main(["--model=DINWithMMBee", *sys.argv[1:]]))
