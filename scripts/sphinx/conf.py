"""Sphinx's settings for the site of the documentation, which scripts/docs_site.py builds."""

from __future__ import annotations

from typing import Any

from docutils import nodes

project = "experiments.spot"
author = "the experiments.spot authors"
project_copyright = f"2026, {author}"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
# Links to places within pages are checked down to headings of this level.
myst_heading_anchors = 4
ANSIBLE = "https://docs.ansible.com/ansible/latest"
# Places that pages of plugins name, and the pages of Ansible's documentation that have them.
PLACES = {
    "common_return_values": "reference_appendices/common_return_values",
    "ansible_configuration_settings": "reference_appendices/config",
    "action_plugins": "plugins/action",
    "callback_plugins": "plugins/callback",
}


def outside(_app: Any, _env: Any, node: Any, content: Any) -> nodes.reference | None:
    """What Ansible and other collections document lies at docs.ansible.com; nothing is fetched from there for that."""
    target = str(node.get("reftarget", ""))
    page = PLACES.get(target)
    parts = target.partition("ansible_collections.")[2].partition("__")[0].split(".")
    if len(parts) == 3 and parts[:2] != ["experiments", "spot"]:
        page = f"collections/{'/'.join(parts)}"
    return nodes.reference("", "", content, refuri=f"{ANSIBLE}/{page}.html", internal=False) if page else None


def setup(app: Any) -> None:
    """Entry point of Sphinx."""
    app.connect("missing-reference", outside)
