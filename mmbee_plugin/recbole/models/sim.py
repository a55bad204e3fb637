"""SIM on its own: the backbone without content and without expanded interest."""

from __future__ import annotations

from mmbee_plugin.recbole.models.mmbee import MMBee


class SIM(MMBee):
    """SIM (CIKM 2020) as a model: ``properties/SIM.yaml`` leaves the content and interest slots empty."""
