"""A shards folder: a dataset made ready for training, as Parquet rows and memory-mapped arrays; written and read."""
