"""Studies beyond the paper: measurements and checks of trained models and graphs, each a sheet and a plot.

Not here: cells, sheets and pages, shared with the tables (`experiments`).
"""
