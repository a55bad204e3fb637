"""Resumable RecBole trainers, checkpoints of plain data, evaluation, and the reports of a run."""
