"""Metrics and how sure they are: AUC, UAUC, GAUC, ranking metrics, bootstrap intervals, paired tests. Arrays in,
figures out.

Not here: how scores come about, and how an adapter gathers them.
"""
