"""`python -m mmbee_plugin.cli`, the same as `mmbee`."""

from mmbee_plugin.cli import main

main()
