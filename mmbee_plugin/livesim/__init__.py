"""Simulator: logs of live gifting with planted truth, calibrated to KuaiLive's statistics."""
