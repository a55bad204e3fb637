"""RecBole's dataset, loaders and negative sampler on a dataset folder, and the lookup tables of models.

Not here: files (`mmbee_plugin.data`), settings (`recbole.config`).
"""
