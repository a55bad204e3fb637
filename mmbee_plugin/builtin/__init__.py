"""Data sets that are there by name: made on first use (`ensure`), and the generator of the TikTok sample.

Not here: reading and writing of any dataset folder (`data`), and the simulator behind ``livesim`` (`livesim`).
"""
