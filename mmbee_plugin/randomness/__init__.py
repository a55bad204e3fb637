"""Seeded randomness, the same on every process: a mixing function, random orders in pieces, streams by purpose."""
