"""Declares, checks and lists settings: a field of a class gives name, type, range, default and meaning.

Not here: the settings themselves, declared by the packages that read them (`graph`, `offline`, `modules`, `assembly`,
the adapters), and the reading of YAML (`command`).
"""
