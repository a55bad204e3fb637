"""GraphCL over sharded node tables: its training steps and the files of its vectors."""
