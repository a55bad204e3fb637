"""What a dataset folder is like: counts, health of features, leaks, and what popularity alone scores.

Nothing here is needed to train.
"""
