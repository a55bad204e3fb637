"""The simulator: logs of live gifting with planted truth, calibrated to the statistics of KuaiLive."""
