"""GraphCL's loss with its gradients, compiled: :class:`mmbee_plugin.modules.graphcl.GraphCLLoss` without autograd.

A step's arrays are small, and autograd's many passes over them took most of its time. Here scores become gradients in
place, and the matrix products are loops: BLAS would start threads for products of this size. Additions have one order,
so that results do not depend on the number of threads.
"""

import math

import numpy as np

from mmbee_plugin.kernels import kernel

SUMS = {"reassoc", "contract", "nsz"}
"""freedoms of LLVM that let it vectorise sums; infinities keep their meaning"""
SHORTEST = 1e-12
"""length below which a vector is not scaled to 1, as in torch's ``normalize``"""


@kernel(fastmath=SUMS, error_model="numpy")
def contrast(
    nodes: np.ndarray,
    positives: np.ndarray,
    negatives: np.ndarray,
    mask: np.ndarray,
    nce_weight: float,
    temperature: float,
    normalise: bool,
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Loss of a batch of nodes, summed over them, and its gradients (MMBee, eq. 9).

    Args:
        nodes: (n, d) float32 or float64. Overwritten, like ``positives`` and ``negatives``.
        positives: (n, P, d).
        negatives: (M, d), shared by the batch.
        mask: (n, M) bool, false for negatives that do not count.
        nce_weight, temperature, normalise: as of ``GraphCLLoss``.

    Returns:
        the loss and its gradients, in the shapes of ``nodes``, ``positives`` and ``negatives``.
    """
    count, drawn, width = positives.shape
    each = positives.reshape(-1, width)
    if normalise:
        lengths = _normalise(nodes), _normalise(each), _normalise(negatives)
    far, near = np.zeros(mask.shape, nodes.dtype), np.zeros((count, drawn), nodes.dtype)
    _add_product(nodes, negatives.T.copy(), far)
    for row in range(count):
        for place in range(drawn):
            for column in range(width):
                near[row, place] += nodes[row, column] * positives[row, place, column]
    loss = 0.0
    for row in range(count):
        loss += _slopes(near[row], far[row], mask[row], nce_weight, temperature)
    of_nodes, of_positives, of_negatives = (
        np.zeros_like(nodes),
        np.empty_like(positives),
        np.zeros_like(negatives),
    )
    _add_product(far, negatives, of_nodes)
    _add_product(far.T, nodes, of_negatives)
    for row in range(count):
        for place in range(drawn):
            for column in range(width):
                of_nodes[row, column] += near[row, place] * positives[row, place, column]
                of_positives[row, place, column] = near[row, place] * nodes[row, column]
    if normalise:
        _before_scaling(of_nodes, nodes, lengths[0])
        _before_scaling(of_positives.reshape(-1, width), each, lengths[1])
        _before_scaling(of_negatives, negatives, lengths[2])
    return loss, of_nodes, of_positives, of_negatives


@kernel(fastmath=SUMS, error_model="numpy")
def _slopes(
    near: np.ndarray, far: np.ndarray, mask: np.ndarray, nce_weight: float, temperature: float
) -> float:
    """Loss of one node; its dot products with positives (P,) and negatives (M,) become the loss's derivatives.

    The loops over negatives are many and short, so that LLVM vectorises each.
    """
    real = near.dtype.type
    zero, one, scale = real(0), real(1), real(1 / temperature)
    highest, counting = real(-np.inf), 0
    for place in range(len(far)):
        far[place] *= scale
        highest = max(highest, far[place] if mask[place] else real(-np.inf))
        counting += mask[place]
    shares = np.empty_like(far)
    for place in range(len(far)):
        shares[place] = math.exp(far[place] - highest) if mask[place] else zero
    whole = shares.sum()
    others = highest + math.log(whole)  # -inf if none counts

    loss, rivalry = 0.0, 0.0
    for place in range(len(near)):
        score = float(near[place]) / temperature
        value, slope = _softplus(-score)
        rival_value, rival_slope = _softplus(others - score)
        loss += (value + nce_weight * rival_value) / len(near)
        rivalry += nce_weight * rival_slope / len(near)
        near[place] = -(slope + nce_weight * rival_slope) / (len(near) * temperature)

    push = one / real(max(counting, 1))
    pull = real(rivalry) / whole if counting else zero
    odds = np.empty_like(far)
    for place in range(len(far)):
        odds[place] = math.exp(-abs(far[place]))
    product, logs = 1.0, 0.0  # the logarithm of a product of factors up to 2, in place of one each
    for place in range(len(far)):
        product *= 1 + mask[place] * odds[place]
        if product > 1e300:
            logs += math.log(product)
            product = 1.0
    hinges = zero
    for place in range(len(far)):
        counts = one if mask[place] else zero
        hinges += counts * max(far[place], zero)
        slope = (one if far[place] >= zero else odds[place]) / (one + odds[place])
        far[place] = (counts * push * slope + pull * shares[place]) * scale
    return loss + push * (hinges + logs + math.log(product))


@kernel(fastmath=SUMS, error_model="numpy")
def _softplus(score: float) -> tuple[float, float]:
    """log(1 + exp(score)) and its derivative, the logistic function."""
    below = math.exp(-abs(score))
    return max(score, 0.0) + math.log1p(below), (1.0 if score >= 0 else below) / (1.0 + below)


@kernel(fastmath=SUMS)
def _add_product(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """Adds left (n, m) x right (m, d) to ``out`` (n, d).

    Takes four rows of ``right`` at a time, so that a row of ``out`` is read and written a quarter as often.
    """
    inner = right.shape[0]
    whole = inner - inner % 4
    for row in range(left.shape[0]):
        sums = out[row]
        for place in range(0, whole, 4):
            w, x, y, z = left[row, place], left[row, place + 1], left[row, place + 2], left[row, place + 3]
            a, b, c, d = right[place], right[place + 1], right[place + 2], right[place + 3]
            for column in range(right.shape[1]):
                sums[column] += w * a[column] + x * b[column] + y * c[column] + z * d[column]
        for place in range(whole, inner):
            for column in range(right.shape[1]):
                sums[column] += left[row, place] * right[place, column]


@kernel(fastmath=SUMS, error_model="numpy")
def _normalise(rows: np.ndarray) -> np.ndarray:
    """Scales rows (n, d) to length 1 in place; returns the divisors (n,)."""
    lengths = np.zeros(len(rows), rows.dtype)
    for row in range(len(rows)):
        for column in range(rows.shape[1]):
            lengths[row] += rows[row, column] ** 2
        lengths[row] = max(math.sqrt(lengths[row]), SHORTEST)
        for column in range(rows.shape[1]):
            rows[row, column] /= lengths[row]
    return lengths


@kernel(fastmath=SUMS, error_model="numpy")
def _before_scaling(gradients: np.ndarray, units: np.ndarray, lengths: np.ndarray) -> None:
    """Turns gradients of scaled rows (n, d), in place, into those of the rows before ``_normalise``."""
    for row in range(len(units)):
        along = units.dtype.type(0)
        if lengths[row] > SHORTEST:
            for column in range(units.shape[1]):
                along += gradients[row, column] * units[row, column]
        for column in range(units.shape[1]):
            gradients[row, column] = (gradients[row, column] - along * units[row, column]) / lengths[row]
