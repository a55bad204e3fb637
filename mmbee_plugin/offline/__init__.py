"""Offline stage of a dataset folder: graph snapshots and node vectors, built once and kept with the data.

Not here: graph kernels (`graph`), GraphCL's loss (`modules`), training over sharded tables (`torchrec.node_vectors`).
"""
