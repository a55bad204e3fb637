"""The TorchRec adapter: the same modules over sharded tables, under torchrun.

`train` and `graphcl` are the jobs, `settings` their settings. The folders, each importing only from those before it:
`processes`, `shards` (a job's data), `batches`, `sharded` (tables and model), `checkpoints` and `plan`, `training`,
`node_vectors`.
"""
