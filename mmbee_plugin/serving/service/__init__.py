"""The HTTP service: routes, admission, metrics and its own description.

Not here: what an answer is computed from (`serving.scorer`).
"""
