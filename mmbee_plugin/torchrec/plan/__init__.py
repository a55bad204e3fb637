"""Placement of a job's tables on a cluster, planned by TorchRec without its machines, and a report of the plan."""
