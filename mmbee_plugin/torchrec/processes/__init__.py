"""A job's processes: start and end, command line, collective operations, and a check of library versions."""
