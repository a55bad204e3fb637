"""EgoGCN: a neighbour's message in one modality is modulated by its other modalities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from recbole.config import Config
from torch import Tensor, nn

from mmbee_plugin.modules.named import ModalityParameters, module_name
from mmbee_plugin.recbole.config.baselines import EgoGCNSettings
from mmbee_plugin.recbole.data.split import TrainingSplit
from mmbee_plugin.recbole.models.multimodal import GraphRecommender, ItemContent, linear, xavier


class EgoGCN(GraphRecommender):
    r"""EgoGCN (Chen et al., MM 2022). With x_m = [norm(P_m) ; norm(LeakyReLU(f_m W + b))] for users and items, a
    message j -> i in modality m carries w_j instead of x_m[j]:

    .. math::
        a &= \mathrm{softmax}_{j \in N(i)} \langle x_m[i], x_m[j] \rangle \\
        \text{hard: } w_j &= \mathrm{mean}_{m'} x_{m'}[j] \text{ if } a_{ij} > \theta \text{ else } x_m[j] \\
        \text{soft: } w_j &= \tfrac{1}{M} (x_m[j] +
            \sum_{m' \ne m} \sigma(x_{m'}[j] G_{m,m'} + b) * x_{m'}[j]) \\
        a' &= \mathrm{softmax}_{j \in N(i)} \langle x_m[i], w_j \rangle, \qquad
        x_m \leftarrow \mathrm{norm}(\sum_j a'_{ij} w_j) \\
        R \text{ rounds: } x_m &\leftarrow \mathrm{norm}(x_m + \sum_j
            \mathrm{softmax}_{j \in N(i)} \langle x_m[i], x_m[j] \rangle x_m[j]) \\
        g &= \sum_{l=0}^{L} A^l \, \mathrm{norm}(e), \quad A = D^{-1/2} \mathrm{Adj} D^{-1/2} \\
        z &= [g ; x_1 ; \ldots ; x_M], \qquad y_{ui} = \langle z_u, z_i \rangle

    The loss is BPR plus `reg_weight` times the mean squares of the batch's rows of e and of the preferences P. The
    equations are those of the authors' code, which agree with the paper's abstract. The hard gate needs a > theta,
    which receivers of many neighbours never reach: the share of gated edges is logged at every evaluation.

    Not taken over from the code: its third id layer reads the first one's output; P is normalised in place under
    autograd; Adam is rebuilt every 50 epochs, which loses its moments. Gates are computed per node, which gives the
    same as per edge. A node without neighbours keeps x_m; a missing modality is left out of the mean and of the sum,
    whose divisor is then 1 + the number of other modalities present.

    Args:
        config: RecBole's Config with the settings of :class:`~mmbee_plugin.recbole.config.baselines.EgoGCNSettings`.
    """

    declared = EgoGCNSettings

    def __init__(self, config: Config, dataset: TrainingSplit) -> None:
        super().__init__(config, dataset)
        chosen = EgoGCNSettings.among(config)
        self.rounds, self.layers = chosen.n_rounds, chosen.n_layers
        self.threshold = chosen.threshold_gate
        self.hard = chosen.gate == "hard"
        self.attends_again = chosen.reattention
        self.content = ItemContent(config, dataset, lambda _: self.width)
        self.names = list(self.content.widths)
        self.preferences = ModalityParameters({name: xavier(self.n_users, self.width) for name in self.names})
        self.ids = xavier(self.n_nodes, self.width)
        pairs = () if self.hard else [(m, n) for m in self.names for n in self.names if m != n]
        self.gates = nn.ModuleDict({_pair(*pair): linear(self.width, self.width) for pair in pairs})
        scale = self.edges.degree.clamp(min=1).rsqrt()
        normal = scale[self.edges.receivers] * scale[self.edges.senders]
        self.register_buffer("normal", normal, persistent=False)

    def encode(self) -> tuple[Tensor, Tensor]:
        """The vectors of all users (U, d + M d) and items (I, d + M d)."""
        content, present = self.content(self.all_items)
        known = torch.cat([present.new_ones(self.n_users, present.shape[1]), present])
        x = {
            name: torch.cat([F.normalize(self.preferences[name]), F.normalize(F.leaky_relu(features))])
            for name, features in content.items()
        }
        x = self.modulated(x, known)
        for _ in range(self.rounds):
            x = {
                name: F.normalize(own + self.edges.sum(self.attention(own, own), own))
                for name, own in x.items()
            }
        layer = F.normalize(self.ids)
        total = layer
        for _ in range(self.layers):
            layer = self.edges.sum(self.get_buffer("normal"), layer)
            total = total + layer
        return self.split(torch.cat([total, *x.values()], dim=1))

    def attention(self, receiver: Tensor, sender: Tensor) -> Tensor:
        """(N, d) each -> (2E,) inner products, softmax over each receiver's neighbours."""
        return self.edges.softmax(self.edges.dots(receiver, sender))

    def modulated(self, x: dict[str, Tensor], known: Tensor) -> dict[str, Tensor]:
        """Edge-wise modulation of all modalities: x (N, d) each, known (N, M) bool -> (N, d) each."""
        alone = (self.edges.degree == 0)[:, None]
        form = self._hard if self.hard else self._soft
        return {name: torch.where(alone, own, F.normalize(form(name, x, known))) for name, own in x.items()}

    def _hard(self, name: str, x: dict[str, Tensor], known: Tensor) -> Tensor:
        """Messages of modality `name`: the sender's mean over modalities where the attention exceeds the threshold."""
        own, edges = x[name], self.edges
        shares = known / known.sum(dim=1, keepdim=True).clamp(min=1)
        mean = sum(shares[:, column, None] * other for column, other in enumerate(x.values()))
        mean = torch.where(known.any(dim=1, keepdim=True), mean, own)
        logits = edges.dots(own, own)
        attention = edges.softmax(logits)
        touched = attention > self.threshold
        if not self.training:
            share = touched.float().mean() if len(touched) else 0
            self.logger.info(f"EgoGCN, {name}: the gate at {self.threshold} touches {share:.2%} of the edges")
        if self.attends_again:
            attention = edges.softmax(torch.where(touched, edges.dots(own, mean), logits))
        return edges.sum(attention * touched, mean) + edges.sum(attention * ~touched, own)

    def _soft(self, name: str, x: dict[str, Tensor], known: Tensor) -> Tensor:
        """Messages of modality `name` are the sender's gated sum over its modalities."""
        own = x[name]
        message, count = own, torch.ones_like(own[:, :1])
        for column, (other, values) in enumerate(x.items()):
            if other != name:
                here = known[:, column, None]
                message = message + here * torch.sigmoid(self.gates[_pair(name, other)](values)) * values
                count = count + here
        message = message / count
        attention = self.attention(own, message if self.attends_again else own)
        return self.edges.sum(attention, message)


def _pair(receiver: str, sender: str) -> str:
    return f"{module_name(receiver)} from {module_name(sender)}"
