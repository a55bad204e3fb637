"""GTRModel over sharded embedding tables: the tables, their initial rows, and their distribution over processes."""
