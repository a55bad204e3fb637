"""Studies beyond the paper: its open questions and checks, each measured and drawn."""
