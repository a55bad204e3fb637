"""Seeded randomness that does not depend on who asks: a mixing function, orders in pieces, streams by purpose."""
