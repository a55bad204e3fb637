"""The RecBole adapter; importing it registers MMBee with RecBole (see `mmbee_plugin.recbole.plugin`)."""

from mmbee_plugin.recbole.plugin import register, register_model

__all__ = ["register", "register_model"]

register()
