"""Shared by tables, studies and figures: cells (one trained model each, cached), the process pool that makes them,
sheets and pages.

Not here: a table's rows and columns (`tables`), a study's measurements (`studies`).
"""
