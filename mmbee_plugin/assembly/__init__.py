"""The model's settings, shared by both adapters, and the settings of its parts that follow from them and the data.

Not here: the parts themselves (`modules`), tables and batches (the adapters), how settings are declared (`settings`).
"""
