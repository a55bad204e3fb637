"""MMoE on its own: the backbone without content and without expanded interest."""

from __future__ import annotations

from mmbee_plugin.recbole.models.mmbee import MMBee


class MMoE(MMBee):
    """MMoE (KDD 2018) as a model: ``properties/MMoE.yaml`` leaves the content and interest slots empty."""
