"""AUC, UAUC, GAUC, ranking metrics, bootstrap intervals and paired tests, from arrays of labels and scores.

Not here: scoring, and the gathering of scores in an adapter.
"""
