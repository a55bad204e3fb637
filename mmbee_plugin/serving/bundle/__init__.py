"""Bundles: the immutable unit of deployment, written from a trained model, verified when it is read.

Not here: what is done with an opened bundle (`serving.scorer`).
"""
