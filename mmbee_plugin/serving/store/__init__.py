"""Where a scorer reads the record of a user: one interface, a backend a file. Redis answers byte for byte what the
mapped file does."""
