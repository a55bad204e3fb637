import numpy as np
import pytest
import torch

from mmbee_plugin.modules.rowwise import RowwiseAdagrad
from mmbee_plugin.offline.node_table import EPS, NodeTable


@pytest.mark.parametrize("optimiser", ["adagrad", "sgd"])
def test_a_row_steps_once_by_the_sum_of_its_gradients(optimiser):
    random = np.random.default_rng(0)
    start = random.normal(size=(9, 5))
    table = NodeTable(start.copy(), 0.3, optimiser)
    dense = torch.nn.Parameter(torch.from_numpy(start.copy()))
    kind = torch.optim.SGD if optimiser == "sgd" else lambda *given: RowwiseAdagrad(*given, EPS)
    oracle = kind([dense], 0.3)
    for _ in range(3):
        ids = [random.integers(0, 8, shape) for shape in ((4,), (4, 3), (2,))]  # row 8 is never drawn
        gradients = [random.normal(size=(*part.shape, 5)) for part in ids]
        dense.grad = torch.zeros(9, 5, dtype=torch.float64)
        for part, gradient in zip(ids, gradients, strict=True):
            for row, one in zip(part.ravel(), gradient.reshape(-1, 5), strict=True):
                dense.grad[row] += torch.from_numpy(one)
        oracle.step()
        table.step(ids, gradients)
        np.testing.assert_allclose(table.weight, dense.detach().numpy(), rtol=1e-12)
    np.testing.assert_array_equal(table.weight[8], start[8])


def test_rows_are_copies():
    table = NodeTable(np.zeros((3, 2), np.float32), 0.1, "sgd")
    rows = table.rows(np.array([[0, 1], [2, 2]]))
    assert rows.shape == (2, 2, 2)
    rows += 1
    assert not table.weight.any()
