# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which distribution a machine runs. PRIVATE to the collection."""

from __future__ import annotations

FAMILIES = (("debian", "Debian"), ("ubuntu", "Debian"), ("fedora", "RedHat"), ("rhel", "RedHat"), ("amzn", "RedHat"))


def parse_os_release(text: str) -> tuple[str, str, str]:
    """(family, ID, VERSION_ID) of the distribution. Source: os-release(5)."""
    pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    values = {key: value.strip().strip("\"'") for key, value in pairs.items()}
    own = values.get("ID", "")
    names = [own, *values.get("ID_LIKE", "").split()]
    families = [family for name in names for known, family in FAMILIES if known == name]
    return (families[0] if families else own.capitalize()), own, values.get("VERSION_ID", "")


def os_family() -> str:
    """Family of this machine's distribution, '' where it does not tell."""
    try:
        with open("/etc/os-release", encoding="utf-8", errors="replace") as stream:
            return parse_os_release(stream.read())[0]
    except OSError:
        return ""
