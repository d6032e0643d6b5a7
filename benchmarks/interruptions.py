"""
Fifty builds of a small site, each killed at a random moment.

After each the site must be the old one or the new one, whole, and no process may be left. Counts
both; fails at the first half of a site.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from helpers.course.edition import Edition
from helpers.course.site import build_site

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from builds import kill_builds
from course_project import make_project


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder) / "project")
        html = build_site(project, Edition(name="default", base=project))
        outcomes = kill_builds(
            project, html, kills=options.kills, signals=signals, seed=options.seed
        )
    print(f"{options.kills} builds killed: {outcomes['old']} old sites, {outcomes['new']} new ones")


if __name__ == "__main__":
    main()
