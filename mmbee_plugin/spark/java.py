"""Finds the Java that Spark runs on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from mmbee_plugin.errors import InputError, one_line

OLDEST = 17
INSTALL = "such as Debian's openjdk-17-jre-headless; JAVA_HOME says where it is"


def check_java() -> None:
    """Raises InputError if there is no Java, or one too old for Spark."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which(os.path.join(home, "bin", "java") if home else "java")
    if program is None:
        where = f"in JAVA_HOME={home}" if home else "on PATH"
        raise InputError(
            f"Spark needs Java {OLDEST} or later and there is none {where}: install one, {INSTALL}"
        )
    try:
        asked = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(
            f"{program}: does not run ({one_line(error)}); Spark needs Java {OLDEST}, {INSTALL}"
        ) from None
    found = re.search(r'version "(?:1\.)?(\d+)', asked.stderr + asked.stdout)
    if found is None or int(found[1]) < OLDEST:
        version = f"Java {found[1]}" if found else "no Java that states its version"
        raise InputError(f"{program}: is {version}; Spark needs Java {OLDEST} or later, {INSTALL}")
