"""The trainers that benchmarks/graphcl.py compares. Each calls ``after_pass`` with its two tables; true ends it."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.expansion import Expansion
from mmbee_plugin.graph.metapaths import POSITIVES, Metapath
from mmbee_plugin.modules.graphcl import GraphCLLoss
from mmbee_plugin.modules.rowwise import added_roots
from mmbee_plugin.offline.node_table import EPS
from mmbee_plugin.offline.node_vectors import Draws, GraphCLSettings, train_graphcl

METAPATH = [("user", "gives", "author"), ("author", "taken", "user")]

AfterPass = Callable[[tuple[np.ndarray, np.ndarray]], bool]


class GraphCL:
    """This project's trainer, on the neighbour lists of its two metapaths."""

    def __init__(self, graph: csr_matrix, seed: int, width: int, rate: float, batch: int) -> None:
        self.graph, self.seed = graph, seed
        self.positives = [
            Expansion(graph, None).lists(Metapath.parse(name), 50).along(name) for name in POSITIVES.values()
        ]
        self.settings = GraphCLSettings(width=width, epochs=100_000, learning_rate=rate, batch_size=batch)
        self.nodes_a_pass = sum(graph.shape)

    def train(self, after_pass: AfterPass) -> None:
        train_graphcl(
            self.graph,
            *self.positives,
            self.settings,
            self.seed,
            progress=lambda epoch, loss, tables: after_pass(tables),
        )


class Autograd(GraphCL):
    """The same draws, loss and updates by PyTorch operations and autograd: what GraphCL's compiled step replaced."""

    def train(self, after_pass: AfterPass) -> None:
        settings = self.settings
        generator = torch.Generator().manual_seed(self.seed)
        tables = [
            torch.randn(count, settings.width, generator=generator) / settings.width**0.5
            for count in self.graph.shape
        ]
        squares = [torch.zeros(len(table)) for table in tables]
        draws = Draws(*self.positives, settings, self.seed)
        loss_of = GraphCLLoss(settings.nce_weight, settings.temperature, settings.normalise)
        while True:
            for batch in draws.epoch():
                for sampler, nodes, table, sums in zip(
                    (draws.users, draws.authors), batch, tables, squares, strict=True
                ):
                    pairs = sampler.sample(nodes)
                    if not len(pairs.nodes):
                        continue
                    ids = [torch.from_numpy(part) for part in (pairs.nodes, pairs.positives, pairs.negatives)]
                    rows = [table[part].requires_grad_() for part in ids]
                    (loss_of(*rows, torch.from_numpy(pairs.mask)) * len(pairs.nodes)).backward()
                    self._step(table, sums, ids, [row.grad for row in rows])
            if after_pass((tables[0].numpy(), tables[1].numpy())):
                return

    def _step(
        self, table: torch.Tensor, sums: torch.Tensor, ids: list[torch.Tensor], gradients: list
    ) -> None:
        rows, place = torch.cat([part.reshape(-1) for part in ids]).unique(return_inverse=True)
        width = table.shape[1]
        summed = torch.zeros(len(rows), width)
        summed.index_add_(0, place, torch.cat([part.reshape(-1, width) for part in gradients]))
        squares = sums[rows]
        summed /= added_roots(squares, summed, EPS)[:, None]
        sums[rows] = squares
        table[rows] -= self.settings.learning_rate * summed


class MetaPath2Vec:
    """PyTorch Geometric's MetaPath2Vec, with SparseAdam as in its example, on short walks."""

    def __init__(self, graph: csr_matrix, seed: int, width: int, rate: float, batch: int) -> None:
        from torch_geometric.nn import MetaPath2Vec as Model

        torch.manual_seed(seed)
        rows, columns = (torch.from_numpy(np.asarray(part, dtype=np.int64)) for part in graph.nonzero())
        self.model = Model(
            {METAPATH[0]: torch.stack([rows, columns]), METAPATH[1]: torch.stack([columns, rows])},
            embedding_dim=width,
            metapath=METAPATH,
            walk_length=4,
            context_size=3,
            walks_per_node=1,
            num_negative_samples=1,
            num_nodes_dict={"user": graph.shape[0], "author": graph.shape[1]},
            sparse=True,
        )
        self.optimiser = torch.optim.SparseAdam(list(self.model.parameters()), lr=rate)
        self.batch = batch
        self.nodes_a_pass = graph.shape[0]

    def train(self, after_pass: AfterPass) -> None:
        while True:
            for positive, negative in self.model.loader(batch_size=self.batch, shuffle=True):
                self.optimiser.zero_grad()
                self.model.loss(positive, negative).backward()
                self.optimiser.step()
            if after_pass(tuple(self.model(kind).detach().numpy() for kind in ("user", "author"))):
                return
