"""The loss that each kind of targets gets, made of the same model's scores by hand."""

import pytest
import torch

from mmbee_plugin.modules import ContentSettings, GTRModel, GTRSettings, SIMSettings, losses
from mmbee_plugin.modules.batch import Targets, distinct_moments
from mmbee_plugin.modules.objective import Objective

TEMPERATURE = 0.5


def encoded(make_user, make_author, **settings):
    paths = {"user_metapaths": ("u2a2u", "u2a2a"), "author_metapaths": ("a2a",), "attribute_width": 6}
    content, sim = (
        ContentSettings(widths={"visual": 5, "acoustic": 4, "text": 3}, width=16),
        SIMSettings(width=16),
    )
    model = GTRModel(GTRSettings(width=16, **paths, **settings), content, sim).eval()
    return model, model.encode_user(make_user(batch=5)), model.encode_author(make_author(batch=5))


@pytest.mark.parametrize("loss", ["bce", "bpr", "softmax"])
def test_own_candidates(make_user, make_author, loss):
    model, user, author = encoded(make_user, make_author, backbone="mean", interest="bdr")
    position, weights = torch.randint(0, 5, (5, 3)), torch.rand(5)
    targets = Targets(position=position, weights=weights)
    found, logits = Objective(loss, TEMPERATURE)(model, user, author, targets)
    labels = torch.eye(1, 3).expand(5, 3)
    torch.testing.assert_close(logits, model.score_all(user, author).gather(1, position))
    by_hand = {
        "bce": lambda: losses.binary_cross_entropy(logits, labels, weights=weights),
        "bpr": lambda: losses.bayesian_personalised_ranking(logits[:, 0], logits[:, 1:], weights),
        "softmax": lambda: -((logits / TEMPERATURE).log_softmax(dim=1)[:, 0] * weights).sum(),
    }
    beside = model.auxiliary_loss(user, author.take(position), labels, weights)
    assert beside > 0
    torch.testing.assert_close(found, by_hand[loss]() + beside)


def test_a_shared_pool(make_user, make_author):
    model, user, author = encoded(make_user, make_author, backbone="mean")
    position, allowed, expected = torch.randint(0, 5, (5,)), torch.rand(5, 5) < 0.5, torch.randn(5)
    targets = Targets(position=position, allowed=allowed, log_expected=expected)
    objective = Objective("softmax", TEMPERATURE)
    assert objective.shares_pool(model.pays_per_pair)
    found, logits = objective(model, user, author, targets)
    torch.testing.assert_close(logits, model.score_all(user, author))
    by_hand = losses.sampled_softmax(logits / TEMPERATURE, position, allowed, expected)
    torch.testing.assert_close(found, by_hand)


def test_labels_of_one_task_and_of_several(make_user, make_author):
    labels = torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.0, 1.0], [1.0, -1.0], [0.0, 0.0]])
    model, user, author = encoded(make_user, make_author, backbone="mean")
    found, logits = Objective("softmax")(model, user, author, Targets(labels=labels[:, :1]))
    assert logits.shape == (5, 1)
    torch.testing.assert_close(found, losses.binary_cross_entropy(model.score(user, author), labels[:, 0]))

    model, user, author = encoded(make_user, make_author, backbone="mmoe", tasks=("gift", "like"))
    found, logits = Objective("bce")(model, user, author, Targets(labels=labels))
    torch.testing.assert_close(logits, model.score_tasks(user, author.unsqueeze(1)).squeeze(1))
    torch.testing.assert_close(found, losses.multi_task(logits, labels, labels >= 0))


def test_moments_are_told_apart_by_their_segments():
    authors, segments = torch.tensor([3, 1, 3, 3, 1]), torch.tensor([7, -1, 8, 7, -1])
    rows, place = distinct_moments(authors, segments, 5)
    assert len(rows) == 3
    assert torch.equal(authors[rows][place], authors) and torch.equal(segments[rows][place], segments)
    rows, place = distinct_moments(authors, None, 5)
    assert authors[rows].tolist() == [1, 3] and place.tolist() == [1, 0, 1, 1, 0]
