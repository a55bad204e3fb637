"""From rows of the shards to the batch of one process: global order, negatives, histories, neighbours, content."""
