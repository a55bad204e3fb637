"""The paper's figures: what the learned queries look like, and what walking the graph online would cost."""
