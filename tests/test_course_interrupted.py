import signal

import pytest
from builds import kill_builds, left_running, made_by, start, wait_for
from course_project import make_project
from nbformat.v4 import new_code_cell

from helpers.course.edition import Edition
from helpers.course.site import build_site
from helpers.files import exchange

SLEEP = "import time\n\ntime.sleep(600 if n_segments == 5 else 0)"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Miniature project with a cell that never ends if it is told so, and its site."""
    project = make_project(tmp_path_factory.mktemp("interrupted") / "p", new_code_cell(SLEEP))
    html = build_site(project, Edition(name="default", base=project))
    (project / "editions" / "default.yml").write_text("chapters: {mini: {n_segments: 5}}")
    return project, html


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_says_so_and_leaves_the_old_site_and_nothing_else(built, number):
    project, html = built
    before = made_by(html)
    process = start(project)
    wait_for(process, "Exercises")
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in output
    assert left_running(project) == []
    assert made_by(html) == before
    assert [path.name for path in html.parent.iterdir()] == ["html"]


def test_a_build_killed_without_warning_leaves_no_process_and_the_next_one_cleans_up(built):
    project, html = built
    before = made_by(html)
    process = start(project)
    wait_for(process, "Exercises")
    process.kill()
    process.communicate()
    assert left_running(project) == []
    assert made_by(html) == before
    assert len(list(html.parent.iterdir())) == 2
    build_site(project, Edition(name="default", base=project))
    assert [path.name for path in html.parent.iterdir()] == ["html"]


def test_rendering_ends_with_the_build_that_started_it(built):
    project, _ = built
    page = project / "book" / "welcome.md"
    page.write_text(page.read_text() + "\nAnother sentence.\n")
    (project / "editions" / "quick.yml").write_text("name: default\nchapters: {mini: {}}")
    process = start(project, "quick")
    wait_for(process, "Rendering")
    process.kill()
    process.communicate()
    assert left_running(project) == []


def test_builds_of_one_project_wait_for_each_other(built):
    project, _ = built
    (project / "editions" / "quick.yml").write_text("chapters: {mini: {}}")
    first = start(project)
    wait_for(first, "Exercises")
    second = start(project, "quick")
    wait_for(second, "Another build is running")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0, output


def test_builds_killed_at_random_moments_leave_the_old_site_or_the_new_one(tmp_path):
    """Three times here, fifty in benchmarks/interruptions.py."""
    project = make_project(tmp_path / "p")
    html = build_site(project, Edition(name="default", base=project))
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
    outcomes = kill_builds(project, html, kills=3, signals=signals, seed=1)
    assert sum(outcomes.values()) == 3


def test_without_an_exchange_in_one_step_a_site_that_was_moved_away_comes_back(
    tmp_path, monkeypatch
):
    project = make_project(tmp_path / "p")
    edition = Edition(name="default", base=project)
    html = build_site(project, edition)
    before = made_by(html)
    staging = html.parent / ".staging-killed"
    staging.mkdir()
    html.rename(staging / "previous")
    monkeypatch.setattr("helpers.course.site.exchange", lambda first, second: False)
    said = []
    assert build_site(project, edition, say=said.append) == html
    assert said[-1] == "Nothing has changed since the last build."
    build_site(project, edition, fresh=True)
    assert made_by(html) == before
    assert [path.name for path in html.parent.iterdir()] == ["html"]


def test_folders_change_places(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(name)
    assert exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "name").read_text() == "b"
    assert (tmp_path / "b" / "name").read_text() == "a"
    assert not exchange(tmp_path / "a", tmp_path / "missing")
    assert (tmp_path / "a" / "name").read_text() == "b"
