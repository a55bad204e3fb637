"""GTRModel over sharded embedding tables: the tables, what they start from, and how they are distributed."""
