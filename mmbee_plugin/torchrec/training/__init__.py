"""A training job's loop: steps, evaluations, checkpoints, the best epoch; metrics that equal those of one process."""
