"""The page on what goes wrong quotes what programs really say: each message is brought about."""

import contextlib
import fcntl
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from builds import start, wait_for
from click.testing import CliRunner
from course_project import ROOT, copy_course, make_project
from nbformat.v4 import new_code_cell as code

from helpers import spark
from helpers.course.cli import main
from helpers.course.needs import unrun_sentence

# Each process of the tests would bring everything about again.
pytestmark = pytest.mark.xdist_group("troubleshooting")

PAGE = (ROOT / "book" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = [
    line.strip()
    for block in re.findall(r"^ *```text\n(.*?)^ *```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
DIE = "if n_segments == 15:\n    import os\n    os._exit(9)"
ASK_FOR_PORT = """
import sys
from jupyter_server.serverapp import ServerApp
ServerApp(ip="127.0.0.1", port=int(sys.argv[1]))._find_http_port()
"""
OWN_NAMES = "columns={customer_id: Client, order_id: Receipt, order_date: Day, revenue: Amount}"


def course(project, *words):
    """What the command says in a project, on both streams."""
    with contextlib.chdir(project):
        return CliRunner().invoke(main, words).output


def program(words, **options):
    """What a program says, on both streams."""
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    return done.stdout


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Return the folder in which things go wrong, and a miniature of the course in it."""
    folder = tmp_path_factory.mktemp("trouble")
    return folder, make_project(folder / "mini", code(DIE))


def of_setting_up(folder):
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    python = folder / "python"
    python.write_text('#!/bin/sh\n[ "$1" = --version ]\n')
    python.chmod(0o755)
    yield program(["make", "PYTHON=", "book"], cwd=folder)
    yield program(["make", f"PYTHON={python}", "book"], cwd=folder)
    yield program([sys.executable, "-I", "-S", "-c", "import helpers"], cwd=folder)


def of_a_taken_port():
    """Yield what JupyterLab's server says; it is asked for a port, and not started."""
    pytest.importorskip("jupyter_server")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = program([sys.executable, "-c", ASK_FOR_PORT, str(port)])
    yield said.partition("] ")[2]


def of_files_and_values(folder):
    project = folder / "course"
    project.mkdir()
    copy_course(project)
    (project / "my_orders.csv").write_text(
        "Client,Receipt,Day,Amount\nana,1,2024-01-05,20\nben,2,05/13/2024,30\nana,3,2024-02-01,abc\n"
    )

    def run(*values):
        options = [f"-p{value}" for value in values]
        return course(project, "run", "customer_segmentation", *options, "--out", "results")

    yield course(folder, "build")
    yield run("orders=my_orders.csv")
    yield run("orders=my_orders.csv", OWN_NAMES)
    yield run("n_segmnts=4", "n_segments=four")
    yield run("orders=orders_2024.csv")
    yield course(project, "fetch", "online_retail", "--from", "http://127.0.0.1:9/it.zip")
    (project / "it.zip").write_text("Please sign in\n")
    yield course(project, "fetch", "online_retail", "--from", "it.zip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(folder))
        for home in (str(folder), ""):
            patch.setenv("JAVA_HOME", home)
            patch.setattr(spark.importlib.util, "find_spec", lambda name: name)
            yield course(project, "run", "clustering_on_spark", "--out", "results")
        yield unrun_sentence(spark.why_absent())
        patch.setattr(spark.importlib.util, "find_spec", lambda name: None)
        yield course(project, "run", "clustering_on_spark", "--out", "results")


def of_chapters_that_fail(mini):
    for number in (13, 14, 15):
        yield course(mini, "run", "mini", f"-pn_segments={number}", "--out", "results")


def of_builds(mini):
    yield course(mini, "build")
    yield course(mini, "build")
    yield course(mini, "build", "--audience", "student")
    notebook = mini / "notebooks" / "mini.ipynb"
    notebook.write_text(notebook.read_text().replace("# Mini", "# Larger"))
    yield course(mini, "build")
    welcome = mini / "book" / "welcome.md"
    welcome.write_text(welcome.read_text() + "\nSee [nothing](#nowhere).\n")
    yield course(mini, "build")
    process = start(mini)
    wait_for(process, "Building")
    process.send_signal(signal.SIGINT)
    yield process.communicate()[0]
    with (mini / "_build" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        process = start(mini)
        yield next((line for line in process.stdout if "Another" in line), "")
        process.send_signal(signal.SIGINT)
        process.communicate()


@pytest.fixture(scope="module")
def said(scene):
    """Every line that any of the programs said."""
    folder, mini = scene
    told = [
        *of_setting_up(folder),
        *of_files_and_values(folder),
        *of_chapters_that_fail(mini),
        *of_builds(mini),
        *of_a_taken_port(),
    ]
    return [line.strip() for text in told for line in text.splitlines()]


def said_anywhere(message, said):
    """Whether somebody said a line; three dots stand for anything."""
    words = ".*".join(re.escape(part) for part in message.split("..."))
    return any(re.fullmatch(words, line) for line in said)


def test_dots_stand_for_anything_and_nothing_else_does():
    assert said_anywhere("a ... c.", ["a b c."])
    assert not said_anywhere("a ... c.", ["a b c!"])
    assert not said_anywhere("a b", ["a b c"])


def test_the_page_quotes_messages():
    assert len(QUOTED) == len(set(QUOTED)) > 20


@pytest.mark.parametrize("message", QUOTED)
def test_every_quoted_message_was_said(message, said):
    assert said_anywhere(message, said), "\n".join(said)
