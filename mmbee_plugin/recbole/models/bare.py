"""Backbones on their own: MMBee with default settings without content and expanded interest."""

from __future__ import annotations

from mmbee_plugin.recbole.models.mmbee import MMBee


class SIM(MMBee):
    """SIM (CIKM 2020) as a model; defaults in ``properties/SIM.yaml``."""


class MMoE(MMBee):
    """MMoE (KDD 2018) as a model; defaults in ``properties/MMoE.yaml``."""
