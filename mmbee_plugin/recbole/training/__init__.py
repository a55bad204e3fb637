"""RecBole's trainers made resumable, checkpoints as plain data, evaluation, and what a run reports."""
