"""Shared by all commands: start and exit status, threads, progress of stages, YAML of settings, missing libraries.

Not here: the commands themselves (`cli`, and those of an adapter in `recbole` and `torchrec`).
"""
