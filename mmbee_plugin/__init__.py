"""MMBee (KDD 2024): multi-modal fusion and behaviour expansion for live-streaming gift prediction."""

__version__ = "0.1.0"
