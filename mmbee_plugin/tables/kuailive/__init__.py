"""KuaiLive's published tasks beside gifting, from one log."""
