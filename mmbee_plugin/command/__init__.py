"""What every command has: how it starts and ends, its threads, YAML of settings, libraries that are missing.

Not here: the commands themselves (`cli`, and those of an adapter in `recbole` and `torchrec`).
"""
