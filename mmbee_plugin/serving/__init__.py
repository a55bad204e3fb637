"""The online half (MMBee, section 5.4): bundles of trained models, the store they are read from, the live authors'
board, and the HTTP service that scores.

Here belongs whatever runs between a checkpoint and an answer. Not here: parts of the model (`modules`), and how a
checkpoint of RecBole or TorchRec is read, which the adapters do; nothing here imports either.
"""
