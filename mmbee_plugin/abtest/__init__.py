"""A/B test on livesim, a simulation (MMBee, section 6.8).

Users are hashed to arms, each arm's bundle ranks the rooms on air, users choose and give, and the daily loop retrains
each arm on its own logs. Not here: the world, the choice among shown rooms and the law of gifts (`livesim`), the daily
loop (`daily`), scoring (`serving`).
"""
