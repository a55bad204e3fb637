"""Bundles: immutable units of deployment, written from a trained model and verified when read.

Not here: scoring with an opened bundle (`serving.scorer`).
"""
