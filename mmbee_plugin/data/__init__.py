"""Dataset folders: RecBole's files, features, segments, splits and histories, read, validated and written.

Not here: what a folder is like (`data.inspect`), public formats (`data.formats`), what a batch looks like (the
adapters).
"""
