"""``python -m mmbee_plugin.recbole``: see `mmbee_plugin.recbole.run`."""

from mmbee_plugin.command.entry import start

if __name__ == "__main__":
    raise SystemExit(start("mmbee_plugin.recbole.run"))
