"""The TorchRec adapter: the same modules over sharded tables, under torchrun.

`train` and `graphcl` are the jobs, `settings` what they are told. Between them, each using only those before it:
`processes`, `shards` (the data a job reads), `batches`, `sharded` (tables and model), `checkpoints` and `plan`,
`training`, `node_vectors`.
"""
