"""Schedules the offline stage and the samples of logs on a Spark cluster; the kernels are those of one machine.

Not here: what is computed (`graph`, `logs`). Only this room imports pyspark.
"""
