"""The TorchRec adapter: the same modules over sharded tables, under torchrun.

At the top are the jobs (`train`, `graphcl`, `evaluate`) with their settings and loop; below them, each using only those
before it: `shards` (the data a job reads), `batches`, `sharded` (tables and model), `checkpoints`, `plan`.
"""
