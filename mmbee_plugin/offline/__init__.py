"""The offline stage of a dataset folder: graph snapshots and node vectors, built once and kept with the data.

Not here: the kernels of the graph (`graph`), the loss of GraphCL (`modules`), training over sharded tables
(`torchrec.node_vectors`).
"""
