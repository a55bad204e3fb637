"""The authors that can be scored, encoded: all static items, or the live ones as their segments come in."""
