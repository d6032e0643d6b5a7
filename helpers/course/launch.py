"""
Addresses of an edition: that of its site, and those behind the buttons that open a chapter.

The theme makes the addresses of buttons for Binder, Colab and a JupyterHub from that of a
repository. What it would make a broken one from is refused here. A button is a link: no page asks
another host for anything.
"""

import re
from typing import Any

BINDER, COLAB = "https://mybinder.org", "https://colab.research.google.com"
GITHUB, GITLAB = "https://github.com/", "https://gitlab.com/"
LONGEST = 200  # characters of an address

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
FOLDER = rf"https://{_LABEL}(\.{_LABEL})*(:\d{{1,5}})?(/(?!\.+(/|$))[\w.~-]+)*"


def repository_address(text: str) -> str:
    """
    Address of a repository, or nothing.

    Examples
    --------
    >>> repository_address("https://github.com/owner/name.git")
    'https://github.com/owner/name'
    """
    address = text.removesuffix("/").removesuffix(".git")
    if text and not address.startswith((GITHUB, GITLAB)):
        raise ValueError(
            f"an address that begins with {GITHUB} or {GITLAB}, whose notebooks Binder can open"
        )
    # Of a subgroup of GitLab the theme would make an address that Binder does not understand.
    if text and not _matches(r"https://[^/]+(/(?!\.+$)[\w.-]+){2}", address):
        raise ValueError(
            "owner and name of a repository and nothing more, such as https://github.com/owner/name"
        )
    return address


def branch_name(text: str) -> str:
    """Name of a branch that can stand in the address of a notebook."""
    if not _matches(r"\w[\w.-]*", text):
        raise ValueError(
            "letters, digits, dots, hyphens and underscores: after a slash, nothing could tell "
            "where the branch ends and the path begins"
        )
    return text


def jupyterhub_address(text: str) -> str:
    """
    Address of a JupyterHub, or nothing.

    Examples
    --------
    >>> jupyterhub_address("https://hub.example.org/")
    'https://hub.example.org'
    """
    address = text.rstrip("/")
    if text and not _matches(FOLDER, address):
        raise ValueError("an address such as https://hub.example.org, with a port or folder if any")
    if "/hub" in address.removeprefix("https://"):
        raise ValueError("the address up to before /hub, which the button adds itself")
    return address


def site_address(text: str) -> str:
    """
    Address of the folder in which the pages of a site will lie, or nothing.

    Examples
    --------
    >>> site_address("https://example.org/course/index.html")
    'https://example.org/course'
    """
    address = text.removesuffix("/index.html").rstrip("/")
    if text and not _matches(FOLDER, address):
        raise ValueError(
            "the address of the folder with the site, such as https://example.org/course"
        )
    return address


def _matches(pattern: str, text: str) -> bool:
    return len(text) <= LONGEST and bool(re.fullmatch(pattern, text, re.ASCII))


def button_options(repository: str, branch: str, jupyterhub: str) -> dict[str, Any]:
    """Options of the theme for the buttons that a repository can have."""
    buttons = {"notebook_interface": "jupyterlab", "thebe": False, "binderhub_url": BINDER}
    if repository.startswith(GITHUB):
        buttons["colab_url"] = COLAB  # It opens nothing from GitLab.
    if jupyterhub:
        buttons["jupyterhub_url"] = jupyterhub
    return {
        "repository_url": repository,
        "repository_branch": branch,
        "launch_buttons": buttons,
    }
