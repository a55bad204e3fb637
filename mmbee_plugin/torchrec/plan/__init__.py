"""Where tables would land on machines that are not there: TorchRec's planner, offline, and its report."""
