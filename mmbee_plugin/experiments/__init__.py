"""The kernel of tables, studies and figures: cells (one training, kept), the pool that makes them, sheets and pages.

Not here: which rows a table has and which columns it prints (`tables`), or what a study asks (`studies`).
"""
