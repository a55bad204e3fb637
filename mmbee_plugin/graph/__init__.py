"""Donation graphs, Swing, metapath neighbours and their snapshots: NumPy and Numba on arrays, no model.

Not here: when and where a snapshot is built (`offline`), how neighbours are pooled (`modules.gie`).
"""
