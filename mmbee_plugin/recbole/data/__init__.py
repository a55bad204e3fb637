"""RecBole's dataset, loaders and negative sampler on a dataset folder, and the tables that models look rows up in.

Not here: files (`mmbee_plugin.data`), settings (`recbole.config`).
"""
