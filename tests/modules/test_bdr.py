"""BDR: attention to peers and both perspectives against plain loops, and that similar users help."""

import math

import torch

from mmbee_plugin.modules import PeerAttention, Perspectives
from mmbee_plugin.modules.losses import binary_cross_entropy

WIDTH = 8


def test_peer_attention_by_hand():
    attention = PeerAttention(WIDTH)
    own, peers, weights = torch.randn(1, WIDTH), torch.randn(1, 3, WIDTH), torch.tensor([[0.7, 0.3, 0.0]])
    own_value, fit_own = attention.value(own[0]), attention.fit_own.weight[0]
    values, scores = [], []
    for k in range(2):
        values.append(attention.value(peers[0, k]))
        fit = fit_own @ own_value + attention.fit_peer.weight[0] @ values[-1]
        scores.append(torch.exp(fit if fit > 0 else 0.01 * fit) * weights[0, k])
    heard = sum(s * v for s, v in zip(scores, values, strict=True)) / sum(scores)
    expected = attention.norm(own[0] + attention.output(heard))
    assert torch.allclose(attention(own, peers, weights)[0], expected, atol=1e-6)


def test_without_peers_a_node_is_itself():
    attention, own = PeerAttention(WIDTH), torch.randn(2, WIDTH)
    found = attention(own, torch.randn(2, 3, WIDTH) * 100, torch.zeros(2, 3))
    assert torch.allclose(found, attention.norm(own), atol=1e-6)


def test_split_layers_equal_the_concatenated_form():
    both = Perspectives(WIDTH, hidden=6)
    user, author = torch.randn(4, 2 * WIDTH), torch.randn(3, 2 * WIDTH)
    logits = both(user, author[None])
    labels = torch.randint(0, 2, (4, 3)).float()
    parts = []
    for head in (both.of_user, both.of_author):
        weight = torch.cat([head.from_user.weight, head.from_author.weight, head.from_cross.weight], dim=1)
        parts.append((weight, head.from_user.bias, head.rest))
    expected = torch.empty(2, 4, 3)
    for b in range(4):
        for c in range(3):
            (z_u, e_u), (z_a, e_a) = user[b].chunk(2), author[c].chunk(2)
            inputs = torch.cat([z_u, e_a, z_u * e_a]), torch.cat([e_u, z_a, z_a * e_u])
            for side, (x, (weight, bias, rest)) in enumerate(zip(inputs, parts, strict=True)):
                expected[side, b, c] = rest(weight @ x + bias)
    assert torch.allclose(logits, expected.mean(dim=0), atol=1e-6)
    loss = both.loss(user, author.expand(4, -1, -1), labels)
    by_hand = 0.5 * sum(binary_cross_entropy(expected[side], labels) for side in range(2))
    assert math.isclose(loss.item(), by_hand.item(), rel_tol=1e-5)


def test_it_learns_where_similar_users_decide():
    """Planted: a user gives to what its peers' kind likes; its own vector says nothing."""
    kinds = 4
    see, both = PeerAttention(WIDTH), Perspectives(WIDTH)
    table = torch.nn.Embedding(40, WIDTH)  # peer i and author i are of kind i % 4
    optimiser = torch.optim.Adam([*see.parameters(), *both.parameters(), *table.parameters()], lr=1e-2)

    def batch(rows):
        kind = torch.randint(0, kinds, (rows, 1))
        peers = table(torch.randint(0, 10, (rows, 5)) * kinds + kind)
        own = torch.randn(rows, WIDTH)
        authors = torch.randint(0, 40, (rows, 2))
        seen = torch.cat([see(own, peers, torch.full((rows, 5), 0.2)), own], dim=1)
        author = torch.cat([table(authors), table(authors)], dim=2)
        return both(seen, author), (authors % kinds == kind).float()

    for _ in range(150):
        logits, labels = batch(128)
        loss = binary_cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    logits, labels = batch(1000)
    assert ((logits > 0) == (labels > 0)).float().mean() > 0.9  # always no is right in 0.75
