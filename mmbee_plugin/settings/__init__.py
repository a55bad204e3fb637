"""How a setting is declared, checked and listed: name, type, range, default and meaning stand in one line of a class.

Not here: the settings themselves, which are declared by what reads them (`graph`, `offline`, `modules`, `assembly`,
the adapters), and the reading of YAML (`command`).
"""
