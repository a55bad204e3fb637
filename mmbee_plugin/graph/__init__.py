"""Donation graphs, Swing, metapath neighbours and their snapshots: NumPy and Numba on arrays, no model.

Not here: when a snapshot is built and where it lies (`offline`), how neighbours are pooled (`modules.gie`).
"""
