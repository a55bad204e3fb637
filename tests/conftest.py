"""Fixtures for all rooms; each file of tests/fixtures has one subject."""

pytest_plugins = (
    "live_folder",
    "untrained_model",
    "chromium",
    "report_rules",
    "killing",
    "command_line",
    "redis_servers",
)
"""found by ``pythonpath`` of pyproject.toml"""
