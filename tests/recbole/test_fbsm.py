"""FBSM: the minimiser of its loss, scores for items that nobody took, and no features is one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from mmbee_plugin.data.features import bag_from_pairs
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.models.fbsm import bilinear_weights, item_vectors, leading_components
from mmbee_plugin.recbole.run import main


def test_weights_minimise_the_loss_written_out_pair_by_pair():
    rng = np.random.default_rng(0)
    taken = (rng.random((12, 9)) < 0.3).astype(float)
    taken[0], taken[1] = (
        0,
        np.eye(9)[4],
    )  # a user without items, and one whose only item has no others beside it
    items, penalty = rng.normal(size=(9, 3)), 0.7
    hessian, gradient = penalty * np.eye(9), np.zeros(9)
    for user in range(12):
        own = np.flatnonzero(taken[user])
        mean = items[own].mean(axis=0) if len(own) else np.zeros(3)
        for item in range(9):
            row = np.outer(mean, items[item]).ravel()  # d score / d W
            hessian += np.outer(row, row)
            if taken[user, item] and len(own) > 1:
                gradient += np.outer(items[own[own != item]].mean(axis=0), items[item]).ravel()
    expected = np.linalg.solve(hessian, gradient).reshape(3, 3)
    np.testing.assert_allclose(bilinear_weights(csr_matrix(taken), items, penalty), expected, atol=1e-12)


def test_ranking_agrees_with_pairs_and_scores_items_that_nobody_took(build_planted):
    model, config, (train, valid, _) = build_planted("FBSM", reg_weight=1.0)
    batch = next(iter(valid))[0]
    scores = model.full_sort_predict(batch)
    assert scores.shape == (len(batch), model.n_items)
    assert (scores[:, 0] == -torch.inf).all() and scores[:, 1:].isfinite().all()
    for item in (1, model.n_items - 1):
        batch[model.ITEM_ID] = torch.full((len(batch),), item)
        torch.testing.assert_close(model.predict(batch), scores[:, item])

    dataset = train.dataset
    taste = [int(token[1:]) % 4 for token in dataset.field2id_token["user_id"][1:]]
    new = [dataset.field2id_token["item_id"].tolist().index(f"i{60 + taste}") for taste in range(3)]
    assert not np.isin(new, dataset.inter_feat["item_id"].numpy()).any()
    everyone = model.users[1:] @ model.items.T
    known = torch.tensor([each < 3 for each in taste])
    best = everyone[:, new].argmax(dim=1)
    assert (best == torch.tensor(taste))[known].float().mean() > 0.95  # the new item of the user's own taste
    vectors = item_vectors(config, dataset)
    norms = np.linalg.norm(vectors[1:, 1:], axis=1)
    assert vectors.shape[1] == 1 + 4 + 20 and norms.max() == pytest.approx(
        2**0.5
    )  # both modalities of length 1


def test_bags_keep_the_angles_that_their_leading_components_hold():
    rng = np.random.default_rng(1)
    rows, words = np.repeat(np.arange(30), 6), rng.integers(0, 12, 180)
    bag = bag_from_pairs(rows, words, 30, 12)
    whole = leading_components(bag)
    assert whole.values.shape == (30, 12)
    np.testing.assert_allclose(np.linalg.norm(whole.values, axis=1), 1, rtol=1e-6)
    left, strengths, _ = np.linalg.svd(whole.values.astype(float), full_matrices=False)
    reduced = leading_components(bag, width=5).values.astype(float)
    best = left[:, :5] * strengths[:5]
    np.testing.assert_allclose(reduced @ reduced.T, best @ best.T, atol=1e-6)
    np.testing.assert_array_equal(reduced, leading_components(bag, width=5).values)


def test_data_without_features_and_a_penalty_of_0_are_one_line(
    build_planted, write_folder, random_rows, capsys
):
    with pytest.raises(InputError, match="reg_weight 0 is out of range, expected a number of at least 1e-09"):
        build_planted("FBSM", reg_weight=0)
    folder = write_folder(random_rows)
    status = main(["--model=FBSM", "--dataset=tiny", f"--data_path={folder.parent}"])
    error = capsys.readouterr().err
    assert status == 2 and error.count("\n") == 1 and "FBSM reads item features and" in error
