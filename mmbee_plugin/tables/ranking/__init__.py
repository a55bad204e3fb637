"""Table 3: every model on static items, by full ranking."""
