"""``python docs/pictures/make.py``: draw the pictures of README and documentation anew.

It plans the shipped fleet of DP-MORA, writes its page, and takes a picture of it with Chromium,
which must be installed; ``--browser`` names another one that knows its flags.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SCENARIO, PICTURE, SIZE = "dp-mora-resnet18", HERE / "plan.png", "1200,1630"


def main() -> int:
    """Return 0 when the picture is written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", default="chromium")
    browser = parser.parse_args().browser
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "plan.html"
        command = [sys.executable, "-m", "splitopt", "plan", SCENARIO, "--report", str(page)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        flags += [f"--user-data-dir={folder}/browser", f"--window-size={SIZE}"]
        shot = Path(folder) / PICTURE.name
        subprocess.run([browser, *flags, f"--screenshot={shot}", page.as_uri()], check=True)
        PICTURE.write_bytes(shot.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
