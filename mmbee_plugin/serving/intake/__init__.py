"""Live segments as they come in, by a request or in Parquet parts, and what becomes of each. The board encodes them."""
