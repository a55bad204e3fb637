"""GraphCL's objective: contrastive learning of node vectors along metapaths (MMBee, Algorithm 1, eq. 9)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbee_plugin.modules.expect import expect_width


class GraphCLLoss(nn.Module):
    r"""Loss of a batch of nodes with sampled neighbours as positives and random nodes as negatives (eq. 9).

    .. math:: L = L_{CE} + \lambda L_{NCE}, \qquad
              L_{NCE} = -\frac{1}{|V_p|} \sum_{i \in V_p} \log
              \frac{e^{\theta_t^T \theta_i}}
              {e^{\theta_t^T \theta_i} + \sum_{j \in V_n} e^{\theta_t^T \theta_j}}

    The paper does not define L_CE; here it is the logistic loss, the mean over a node's positives plus the mean over
    its negatives, so that their numbers do not set the balance. Both terms are averaged over the nodes.

    Source: MMBee (https://arxiv.org/abs/2407.00056), Algorithm 1 and eq. 9.

    Args:
        nce_weight: :math:`\lambda`.
        temperature: divides the dot products; 1 in the paper.
        normalise: scale vectors to length one first, not in the paper. Scores then stay within 1 / temperature, so
            choose a temperature well below 1.

    Shapes:
        - nodes: :math:`(n, d)`; positives: :math:`(n, P, d)`
        - negatives: :math:`(M, d)` shared by the batch, or :math:`(n, M, d)`
        - mask: :math:`(n, M)` bool, false for negatives that do not count
        - output: scalar

    Example:
        >>> loss = GraphCLLoss(temperature=0.2, normalise=True)
        >>> nodes, positives, negatives = torch.randn(3, 8), torch.randn(3, 2, 8), torch.randn(5, 8)
        >>> loss(nodes, positives, negatives, torch.ones(3, 5, dtype=torch.bool)).shape
        torch.Size([])
    """

    def __init__(self, nce_weight: float = 1.0, temperature: float = 1.0, normalise: bool = False) -> None:
        super().__init__()
        self.nce_weight = nce_weight
        self.temperature = temperature
        self.normalise = normalise

    def forward(self, nodes: Tensor, positives: Tensor, negatives: Tensor, mask: Tensor) -> Tensor:
        for name, rows in (("positives", positives), ("negatives", negatives)):
            expect_width(name, rows, nodes.shape[-1])
        if self.normalise:
            nodes, positives, negatives = (
                F.normalize(rows, dim=-1) for rows in (nodes, positives, negatives)
            )
        near = torch.einsum("nd,npd->np", nodes, positives) / self.temperature
        if negatives.dim() == 2:
            far = nodes @ negatives.T / self.temperature
        else:
            far = torch.einsum("nd,nmd->nm", nodes, negatives) / self.temperature
        push = (F.softplus(far) * mask).sum(1) / mask.sum(1).clamp(min=1)
        logistic = F.softplus(-near).mean(1) + push
        others = far.masked_fill(~mask, torch.finfo(far.dtype).min).logsumexp(1, keepdim=True)  # (n, 1)
        contrastive = F.softplus(others - near).mean(1)
        return (logistic + self.nce_weight * contrastive).mean()
