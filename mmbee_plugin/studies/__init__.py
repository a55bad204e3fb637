"""Studies beyond the paper: its open questions and checks of a trained model, each measured and drawn.

Not here: cells, sheets and pages, which they share with the tables (`experiments`).
"""
