"""Builds in processes of their own, to interrupt; and whether a site is whole."""

import json
import subprocess
import sys
import time

import numpy as np
import psutil

from helpers.course.reuse import tree_digest
from helpers.course.site import BUILD

COURSE = "from helpers.course.cli import main; main()"


def start(project, *words):
    """Start a build of its own process group, which does not ignore Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-c", COURSE, "build", *words],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(process, text):
    """Read what a build says until a text appears in it."""
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"{text!r} never came")


def made_by(html):
    """Digest of the sources of a site, after making sure that it is whole."""
    build = json.loads((html / BUILD).read_text())
    assert tree_digest(html) == build["pages"], f"{html} is not what its build made"
    return build["source"]


def left_running(project, seconds=15):
    """Command lines of processes about a project that are still there after some time."""
    end = time.monotonic() + seconds
    while (found := _about(project)) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def _about(project):
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.cwd()]
        except psutil.Error:
            continue
        if process.pid != psutil.Process().pid and any(str(project) in word for word in words):
            found.append(words)
    return found


def kill_builds(project, html, *, kills, signals, seed):
    """
    Change a page, build, and kill the build at a random moment, again and again.

    Returns how often the old site was left, and how often the new one.
    """
    chance = np.random.default_rng(seed)
    page, data = project / "book" / "welcome.md", project / "data" / "orders.csv"
    text = page.read_text()
    outcomes = {"old": 0, "new": 0}
    longest = 0.0
    for number in range(kills + 1):
        before = made_by(html)
        page.write_text(f"{text}\nChanged {number}.\n")
        if number % 2 == 0:  # The other builds take the chapter from the one before.
            data.write_text("a\n" * (number + 1))
        begun = time.monotonic()
        process = start(project)
        if longest:
            time.sleep(chance.uniform(0, longest))
            process.send_signal(signals[chance.integers(len(signals))])
        process.communicate()
        # The first one shows how long a build takes that nobody kills.
        longest = longest or time.monotonic() - begun
        outcomes["old" if made_by(html) == before else "new"] += 1
        assert left_running(project) == []
    outcomes["new"] -= 1
    return outcomes
