"""Dataset folders: reads, validates and writes RecBole's files, features, segments, splits and histories.

Not here: descriptions of a folder (`data.inspect`), public formats (`data.formats`), batches (the adapters).
"""
