"""Data sets available by name, made on first use (`ensure`); the generator of the TikTok sample.

Not here: reading and writing dataset folders (`data`), the simulator behind ``livesim`` (`livesim`).
"""
