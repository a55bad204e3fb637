"""Checkpoints of a sharded run: saved, resumed, converted to and from exchange files, opened for serving bundles."""
