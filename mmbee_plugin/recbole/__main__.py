"""``python -m mmbee_plugin.recbole``: see `mmbee_plugin.recbole.run`."""

from mmbee_plugin.recbole.run import main

if __name__ == "__main__":
    raise SystemExit(main())
