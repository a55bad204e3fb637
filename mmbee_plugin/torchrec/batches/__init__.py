"""Makes a process's batches from rows of the shards: global order, negatives, histories, neighbours, content."""
