"""GraphCL's objective: node vectors contrasted along metapaths (MMBee, Algorithm 1, eq. 9)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GraphCLLoss(nn.Module):
    r"""The loss of a batch of nodes against sampled neighbours and random nodes.

    .. math:: L = L_{CE} + \lambda L_{NCE}, \qquad
              L_{NCE} = -\frac{1}{|V_p|} \sum_{i \in V_p} \log
              \frac{e^{\theta_t^T \theta_i}}
              {e^{\theta_t^T \theta_i} + \sum_{j \in V_n} e^{\theta_t^T \theta_j}}

    L_CE is not spelled out in the paper; here it is the logistic loss, the mean over a node's positives
    plus the mean over its negatives, so that their numbers do not set the balance. Both terms are averaged
    over the nodes.

    Args:
        nce_weight: lambda.
        temperature: dot products are divided by it; 1 is the equation as written.
        normalise: vectors are scaled to length one first; off as written. Scores then stay within 1 /
            temperature, so a temperature well below 1 belongs to it.
    """

    def __init__(self, nce_weight: float = 1.0, temperature: float = 1.0, normalise: bool = False) -> None:
        super().__init__()
        self.nce_weight = nce_weight
        self.temperature = temperature
        self.normalise = normalise

    def forward(self, nodes: Tensor, positives: Tensor, negatives: Tensor, mask: Tensor) -> Tensor:
        """The mean loss of the batch.

        Shapes:
            - nodes: (n, d)
            - positives: (n, P, d)
            - negatives: (M, d) shared by the batch, or (n, M, d)
            - mask: (n, M) bool, False for a negative that must not count
            - output: ()
        """
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
