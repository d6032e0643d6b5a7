"""
Build the whole book: chapters one at a time on one core, then two on two, then nothing changed.

All builds run one after the other, in a copy of the project. Two cores are wanted to take 0.7 of
the time of one, and a build without a change 0.1 of a clean one. Only Linux holds a program to one
core in this way.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COURSE = "from helpers.course.cli import main; main()"


def seconds(project, *words, cores=None):
    """Return the time that a build of the default edition takes, on some cores or on all."""
    start = time.perf_counter()
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", COURSE, "build", "--quiet", *words],
        cwd=project,
        check=True,
        preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, cores),
    )
    return time.perf_counter() - start


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        project.mkdir()
        for name in ("book", "data", "editions", "notebooks"):
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("exports"))
        for name in ("_config.yml", "_toc.yml"):
            shutil.copy(ROOT / name, project)
        serial = seconds(project, "--fresh", "--jobs", "1", cores={0})
        alone = seconds(project, "--fresh", "--jobs", "1")
        clean = seconds(project, "--fresh", "--jobs", "2")
        again = seconds(project)
    print(f"  one chapter at a time on one core: {serial:.0f} s")
    print(f"  one chapter at a time, which may use all cores: {alone:.0f} s")
    print(f"  two at a time: {clean:.0f} s, ratio {clean / serial:.2f} to one core (wanted: 0.70)")
    print(f"    and {clean / alone:.2f} to one chapter at a time on all cores")
    print(f"  again without a change: {again:.1f} s, ratio {again / clean:.3f} (wanted: 0.100)")


if __name__ == "__main__":
    main()
