#!/usr/bin/env python3
"""A signed apt repository as NVIDIA's is laid out, with a stand-in for the package nvidia-container-toolkit.

repository.py PROGRAM FOLDER: PROGRAM becomes the package's nvidia-ctk. Source: deb(5), "DebianRepository/Format" of the
Debian wiki, apt-secure(8).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

CONTROL = """Package: nvidia-container-toolkit
Version: 1.99.0-1
Architecture: {arch}
Maintainer: Molecule <molecule@example.org>
Depends: python3
Description: stand-in without a GPU
"""
RUNTIME = '#!/bin/sh\nexec runc "$@"\n'
# What the engine calls for --gpus; the real one puts the devices into the container.
HOOK = "#!/bin/sh\ncat >> /var/tmp/gpu-hook\n"


def run(*argv: str) -> str:
    """Output of a command that must succeed."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def package(program: Path, folder: Path, arch: str) -> Path:
    """The package as a file in `folder`."""
    tree = folder / "tree"
    programs = tree / "usr/bin"
    programs.mkdir(parents=True)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(CONTROL.format(arch=arch))
    shutil.copy(program, programs / "nvidia-ctk")
    for name, text in (("nvidia-container-runtime", RUNTIME), ("nvidia-container-runtime-hook", HOOK)):
        (programs / name).write_text(text)
    for path in programs.iterdir():
        path.chmod(0o755)
    made = folder / f"nvidia-container-toolkit_1.99.0-1_{arch}.deb"
    run("dpkg-deb", "--build", "--root-owner-group", str(tree), str(made))
    shutil.rmtree(tree)
    return made


def sha256(data: bytes) -> str:
    """The sum that apt compares."""
    return hashlib.sha256(data).hexdigest()


def index(made: Path, arch: str) -> None:
    """Packages and Release beside the package."""
    data = made.read_bytes()
    facts = f"Filename: ./{made.name}\nSize: {len(data)}\nSHA256: {sha256(data)}\n"
    packages = (CONTROL.format(arch=arch) + facts).encode()
    (made.parent / "Packages").write_bytes(packages)
    date = run("date", "--utc", "--rfc-email").strip()
    lines = [f"Date: {date}", f"Architectures: {arch}", "SHA256:", f" {sha256(packages)} {len(packages)} Packages"]
    (made.parent / "Release").write_text("\n".join(lines) + "\n")


def sign(folder: Path, mirror: Path) -> None:
    """InRelease, and the key that belongs to it."""
    home = mirror.parent / "gnupg"
    home.mkdir(mode=0o700, exist_ok=True)
    gpg = ("gpg", "--homedir", str(home), "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "")
    run(*gpg, "--quick-generate-key", "molecule@example.org", "rsa2048", "sign", "never")
    run(*gpg, "--output", str(folder / "InRelease"), "--clearsign", str(folder / "Release"))
    (mirror / "gpgkey").write_text(run(*gpg, "--armor", "--export", "molecule@example.org"))


def main(program: str, target: str) -> int:
    """Entry point."""
    arch, mirror = run("dpkg", "--print-architecture").strip(), Path(target)
    folder = mirror / "stable/deb" / arch
    folder.mkdir(parents=True, exist_ok=True)
    index(package(Path(program), folder, arch), arch)
    sign(folder, mirror)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
