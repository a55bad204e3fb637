"""The log of a run: RecBole's lines, in a file of its own."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import colorlog
from recbole.config import Config
from recbole.utils.logger import RemoveColorFilter, log_colors_config

from mmbee_plugin.files import claim, stamp

FOLDER = Path("log")
LINE = "%(asctime)-15s %(levelname)s  %(message)s"


@contextlib.contextmanager
def run_log(config: Config, quiet: bool, folder: Path = FOLDER) -> Iterator[logging.Logger]:
    """Logs a run to a file in ``<folder>/<model>`` and the screen (if `quiet` only warnings); restores other handlers.

    Raises:
        InputError: the file cannot be created.
    """
    name = f"{config['model']}-{config['dataset']}"
    name = name.replace(".", "_")  # RecBole names its TensorBoard folder by the log file, up to the first dot
    while not claim(path := folder / config["model"] / f"{name}-{stamp()}.log"):
        pass
    file, screen = logging.FileHandler(path, encoding="utf-8"), logging.StreamHandler()
    file.setFormatter(logging.Formatter(LINE, "%a %d %b %Y %H:%M:%S"))
    file.addFilter(RemoveColorFilter())
    screen.setFormatter(
        colorlog.ColoredFormatter(f"%(log_color)s{LINE}", "%d %b %H:%M", log_colors=log_colors_config)
    )
    root = logging.getLogger()
    others, level = root.handlers, root.level
    root.handlers = [screen, file]
    root.setLevel(logging.getLevelNamesMapping().get(str(config["state"]).upper(), logging.INFO))
    if quiet:
        screen.setLevel(logging.WARNING)
    try:
        with without_recbole_warnings():
            yield root
    finally:
        file.close()
        root.handlers = others
        root.setLevel(level)


def log_file(log: logging.Logger) -> str:
    """The file of a run's log, relative to the working directory."""
    path = next(each.baseFilename for each in log.handlers if isinstance(each, logging.FileHandler))
    return os.path.relpath(path)


@contextlib.contextmanager
def without_recbole_warnings() -> Iterator[None]:
    """Suppresses warnings of pandas and torch about RecBole's own code."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
        warnings.filterwarnings("ignore", category=UserWarning, module=r"recbole\.model\.")
        yield
