"""Describes a dataset folder: counts, health of features, leaks, popularity baseline. Training does not use it."""
