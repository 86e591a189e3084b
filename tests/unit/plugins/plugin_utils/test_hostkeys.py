"""Host keys from the console, and our known_hosts file."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._hostkeys import (
    HostKey,
    KnownHosts,
    confirmed,
    console_fingerprints,
    console_keys,
    dead_names,
    entries,
    names_of_scope,
    parse_key,
    verified_how,
    with_keys,
    without,
)


def make_key(seed: int, kind: str = "ssh-ed25519") -> HostKey:
    body = bytes([seed]) * 32
    blob = len(kind).to_bytes(4, "big") + kind.encode() + len(body).to_bytes(4, "big") + body
    return HostKey(kind, base64.b64encode(blob).decode())


A, B, C = make_key(1), make_key(2), make_key(3, "ecdsa-sha2-nistp256")
BEGIN, END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"
BEGIN_F, END_F = "-----BEGIN SSH HOST KEY FINGERPRINTS-----", "-----END SSH HOST KEY FINGERPRINTS-----"
ID1, ID2, ID3 = "i-0000000000000000a", "i-0000000000000000b", "i-0000000000000000c"


def line(key: HostKey, comment: str = "root@ip-10-0-0-1") -> str:
    return f"{key.type} {key.base64} {comment}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("booting…", []),
        (f"{BEGIN}\n{line(A)}\n{line(C)}\n{END}\n", [C, A]),
        (f"x\r\n{BEGIN}\r\n{line(A)}\r\n{END}\r\n", [A]),
        (f"{BEGIN}\r{line(A)}\r{END}\r", [A]),
        (f"[   12.345678] cloud-init[812]: {BEGIN}\n[   12.345679] cloud-init[812]: {line(A)}\n[ 12.3] ci: {END}", [A]),
        (f"<14>Nov 21 10:00:00 ec2: {BEGIN}\n<14>Nov 21 10:00:00 ec2: {line(A)}\nec2: {END}", [A]),
        # Not complete yet: the console is still being written.
        (f"{BEGIN}\n{line(A)}\n", []),
        # The beginning has fallen out of the buffer: nothing before END can be told from noise.
        (f"{line(A)}\n{END}\n", []),
        # A second boot: the last block counts; one that has only begun does not.
        (f"{BEGIN}\n{line(A)}\n{END}\n{BEGIN}\n{line(B)}\n{END}\n", [B]),
        (f"{BEGIN}\n{line(A)}\n{END}\n{BEGIN}\n{line(B)}\n", [A]),
        # A key outside the block proves nothing.
        (f"{line(A)}\n{BEGIN}\n{line(B)}\n{END}\n{line(C)}", [B]),
        (f"{BEGIN}\n{line(A)}\n{line(A, '')}\n{END}\n", [A]),
    ],
)
def test_console_keys(text, expected):
    assert console_keys(text) == sorted(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        f"ssh-ed25519 {A.base64[:40]}",
        # The text says one type, the key itself another.
        f"ssh-rsa {A.base64}",
        f"sk-ssh-ed25519@openssh.com {A.base64}",
        f"xssh-ed25519 {A.base64}",
        "ssh-dss AAAAB3NzaC1kc3MAAACBAP",
    ],
)
def test_damaged_keys_are_not_keys(text):
    assert parse_key(text) is None


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.slow
def test_real_keys_and_their_fingerprints(tmp_path, kind):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(tmp_path / "k")], check=True)
    key = parse_key((tmp_path / "k.pub").read_text())
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(tmp_path / "k.pub")], capture_output=True, text=True, check=True
    )
    assert key is not None
    assert f"SHA256:{key.fingerprint} " in shown.stdout
    console = f"ec2: {BEGIN_F}\r\nec2: {shown.stdout.strip()}\r\nec2: {END_F}\r\n"
    assert confirmed([A, key], console_fingerprints(console)) == [key]


def test_md5_fingerprints_prove_nothing():
    assert (
        console_fingerprints(f"{BEGIN_F}\n2048 aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99 (RSA)\n{END_F}") == set()
    )


KNOWN = (
    "# by hand\n"
    f"{ID1} {A.type} {A.base64} 111111111111/us-east-1 console\n"
    f"{ID1} {C.type} {C.base64} 111111111111/us-east-1 console\n"
    f"{ID2} {B.type} {B.base64} 111111111111/us-east-1 console\n"
    f"{ID3} {B.type} {B.base64} 222222222222/us-east-1 console\n"
    f"i-0000000000000000d {B.type} {B.base64}\n"
    f"github.com {B.type} {B.base64}\n"
    "|1|hashed= ssh-rsa AAAA\n"
)


def test_only_keys_we_verified_count():
    assert verified_how(KNOWN, ID1) == "console"
    assert verified_how(KNOWN, "i-0000000000000000d") is None
    assert verified_how(KNOWN, "i-0000000000000000e") is None


def test_dead_instances_of_this_account_and_region_only():
    assert dead_names(KNOWN, "111111111111/us-east-1", {ID1}) == [ID2]
    assert dead_names(KNOWN, "111111111111/eu-west-1", set()) == []
    assert names_of_scope(KNOWN, "us-east-1") == [ID1, ID2, ID3]
    assert names_of_scope(KNOWN, "") == []


def test_text_changes_touch_one_instance():
    assert without(KNOWN, [ID2]) == KNOWN.replace(KNOWN.splitlines(keepends=True)[3], "")
    changed = with_keys(KNOWN, ID1, [B], "111111111111/us-east-1", "console")
    assert [entry.key for entry in entries(changed) if entry.name == ID1] == [B]
    assert changed.startswith("# by hand\n")
    assert with_keys(changed, ID1, [B], "111111111111/us-east-1", "console") == changed


def test_file_says_whether_it_changed_and_ssh_reads_it(tmp_path):
    known = KnownHosts(str(tmp_path / "new" / "known_hosts"))
    assert known.read() == ""
    assert not known.remove([ID1])
    assert known.set_keys(ID1, [A, C], "1/us-east-1", "console")
    assert not known.set_keys(ID1, [C, A], "1/us-east-1", "console")
    assert oct(os.stat(known.path).st_mode & 0o777) == "0o600"
    assert oct(os.stat(known.path.parent).st_mode & 0o777) == "0o700"
    found = subprocess.run(["ssh-keygen", "-F", ID1, "-f", str(known.path)], capture_output=True, text=True, check=True)
    assert A.base64 in found.stdout
    assert known.remove([ID1, ID2])
    assert known.read() == ""


def test_many_writers_lose_nothing(tmp_path):
    known = KnownHosts(str(tmp_path / "known_hosts"))
    names = [f"i-{number:017x}" for number in range(20)]
    threads = [threading.Thread(target=known.set_keys, args=(n, [A], "1/us-east-1", "console")) for n in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.name for entry in entries(known.read())) == names
    assert [p.name for p in Path(tmp_path).iterdir() if p.name.startswith(".known")] == []
