"""Checkpoints of a sharded run, how a run resumes, and their way to and from an exchange file."""
