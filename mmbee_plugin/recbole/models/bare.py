"""Backbones on their own, without content and expanded interest: MMBee under default settings that leave both empty."""

from __future__ import annotations

from mmbee_plugin.recbole.models.mmbee import MMBee


class SIM(MMBee):
    """SIM (CIKM 2020) as a model; its defaults are ``properties/SIM.yaml``."""


class MMoE(MMBee):
    """MMoE (KDD 2018) as a model; its defaults are ``properties/MMoE.yaml``."""
