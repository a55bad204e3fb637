"""Online serving (MMBee, section 5.4): bundles of trained models, the store of user records, the board of live authors,
and the HTTP service that scores.

Directly here: `scorer` and what asks it in process (`explanation`, `replay`), and the HTTP `client`.

Not here: parts of the model (`modules`), and the reading of RecBole's or TorchRec's checkpoints, which is left to the
adapters; nothing here imports either.
"""
