"""The daily loop (MMBee, section 5.4): logs of a day to samples, graph, a model trained on from the day before, bundle.

Not here: how samples are cut (`logs`), how an adapter trains (`recbole`, `torchrec`), and what a bundle is
(`serving.bundle`).
"""
