"""Which parts a model has: the settings that both adapters share, and what they come to on given data.

Not here: the parts themselves (`modules`), tables and batches (the adapters), how settings are declared (`settings`).
"""
