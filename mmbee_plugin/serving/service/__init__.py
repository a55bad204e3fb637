"""The HTTP service: routes, admission control, metrics and OpenAPI description.

Not here: the computation of scores (`serving.scorer`).
"""
