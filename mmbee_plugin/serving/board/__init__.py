"""Encoded authors that requests can score: all static items, or live authors as their segments arrive."""
