"""rsync's argument list, output and exit codes."""

from __future__ import annotations

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import (
    FATAL,
    MARK,
    OK,
    RETRY,
    WARN,
    Change,
    Report,
    Transfer,
    complaint,
    deletion_problem,
    diff_text,
    knows_zstd,
    rank_path,
    remote_path,
    remote_program,
    rsync_argv,
    shell_word,
    verdict,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._ssh import Target

TARGET = Target("203.0.113.5", "admin", 22, "/my key", options=('ControlPath="/a b/%C"',))


def test_argument_list_out():
    transfer = Transfer("out", "/l/code/", "/data/code", exclude=("*.pyc", "a b"), delete=True)
    argv = rsync_argv(transfer, TARGET)
    assert argv[0] == "rsync"
    assert argv[-3:] == ["--", "/l/code/", "203.0.113.5:/data/code"]
    assert "--delete" in argv
    assert "--exclude=a b" in argv
    assert "--protect-args" in argv
    assert "--dry-run" not in argv
    assert "--rsync-path=mkdir -p -- /data/code && rsync" in argv
    rsh = next(word for word in argv if word.startswith("--rsh="))
    assert "'/my key'" in rsh
    assert """'ControlPath="/a b/%C"'""" in rsh
    # Ownership is never carried over: files belong to who receives them.
    assert not {"-a", "--archive", "--owner", "--group", "-o", "-g"} & set(argv)


def test_argument_list_in_and_dry():
    argv = rsync_argv(Transfer("in", "/l/r/", "results/", dry_run=True, recursive=False), TARGET)
    assert argv[-2:] == ["203.0.113.5:./results/", "/l/r/"]
    assert "--rsync-path=rsync" in argv
    assert "--dry-run" in argv
    assert "--dirs" in argv
    assert "--recursive" not in argv


def test_ipv6_address():
    argv = rsync_argv(Transfer("in", "/l", "/r"), Target("2001:db8::1"))
    assert "[2001:db8::1]:/r" in argv


@pytest.mark.parametrize(
    ("word", "expected"),
    [("a", "a"), ("", "''"), ("a b", "'a b'"), ("it's", "'it''s'"), ('say "x"', """'say "x"'"""), ("a\tb", "'a\tb'")],
)
def test_words_for_rsh(word, expected):
    assert shell_word(word) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("a/b", "./a/b"),
        ("./a", "./a"),
        ("~", "./"),
        ("~/", "./"),
        ("~/a/", "./a/"),
        ("~//a", "./a"),
        (":x", "./:x"),
        ("-x", "./-x"),
        ("a ;touch b", "./a ;touch b"),
    ],
)
def test_remote_path(path, expected):
    assert remote_path(path) == expected


def test_home_of_others_is_refused():
    with pytest.raises(ValueError, match="~other"):
        remote_path("~other/x")


@pytest.mark.parametrize(
    ("transfer", "expected"),
    [
        (Transfer("out", "/l/", "/a/b"), "mkdir -p -- /a/b && rsync"),
        (Transfer("out", "/l/", "/a/b; rm -rf /"), "mkdir -p -- '/a/b; rm -rf /' && rsync"),
        (Transfer("out", "/l/", "-x"), "mkdir -p -- ./-x && rsync"),
        (Transfer("out", "/f", "/a/b/f", local_is_dir=False), "mkdir -p -- /a/b && rsync"),
        (Transfer("out", "/f", "/f", local_is_dir=False), "rsync"),
        (Transfer("out", "/f", "f", local_is_dir=False), "rsync"),
        (Transfer("out", "/f", "/a/", local_is_dir=False), "mkdir -p -- /a/ && rsync"),
        (Transfer("out", "/l/", "~"), "rsync"),
        (Transfer("out", "/l/", "/a", dry_run=True), "rsync"),
        (Transfer("in", "/l/", "/a"), "rsync"),
    ],
)
def test_remote_directories_are_made_without_a_way_for_names_to_be_commands(transfer, expected):
    assert remote_program(transfer) == expected


@pytest.mark.parametrize(
    ("transfer", "refused"),
    [
        (Transfer("out", "/l/", "~", delete=True), True),
        (Transfer("out", "/l/", "/", delete=True), True),
        (Transfer("out", "/l/", ".", delete=True), True),
        (Transfer("out", "/l", "~", delete=True), False),
        (Transfer("out", "/l/", "~/code", delete=True), False),
        (Transfer("out", "/l/", "~"), False),
        (Transfer("out", "/l/", "/home/admin/", delete=True), True),
        (Transfer("out", "/l/", "/home/admin/x", delete=True), False),
        (Transfer("out", "/l/", "~/x/../..", delete=True), True),
        (Transfer("in", "/home/me", "/r/", delete=True), True),
        (Transfer("in", "/home/me/", "/r/", delete=True), True),
        (Transfer("in", "/home/me/r/", "/r/", delete=True), False),
    ],
)
def test_deletion_problem(transfer, refused):
    assert bool(deletion_problem(transfer, "/home/me")) is refused


OUTPUT = f"""\
{MARK}cd+++++++++ code/
{MARK}>f+++++++++ code/a b.py
{MARK}>f.st...... code/with -> arrow
{MARK}cL+++++++++ code/link -> target
{MARK}*deleting   code/old file
{MARK}.f...p..... code/mode
      1,234,567  45%    5.10MB/s    0:00:12
     12.345.678 100%   11,00kB/s    0:00:12 (xfr#3, to-chk=0/7)

Number of files: 7 (reg: 4, dir: 3)
Number of deleted files: 1 (reg: 1)
Number of regular files transferred: 1,002
Total file size: 99,999,999 bytes
Total transferred file size: 12,345,679 bytes
"""


def test_report_reads_rsyncs_output():
    report = Report()
    for line in OUTPUT.splitlines():
        report.take(line)
    assert (report.bytes, report.files, report.deleted, report.percent) == (12_345_679, 1002, 1, 100)
    assert report.rate == 11 * 1024
    assert [change.path for change in report.changes] == [
        "code/",
        "code/a b.py",
        "code/with -> arrow",
        "code/link -> target",
        "code/old file",
        "code/mode",
    ]
    assert diff_text(report.changes).splitlines() == [
        "+ code/",
        "+ code/a b.py",
        "~ code/with -> arrow",
        "+ code/link -> target",
        "- code/old file",
        "~ code/mode",
    ]


def test_a_file_name_that_looks_like_statistics_is_a_file_name():
    report = Report()
    report.take(f"{MARK}>f+++++++++ Number of deleted files: 9")
    assert (report.deleted, len(report.changes)) == (0, 1)


def test_long_diffs_are_cut():
    text = diff_text([Change(">f+++++++++", str(number)) for number in range(300)], 10)
    assert text.splitlines()[-1] == "… and 290 more"
    assert len(text.splitlines()) == 11


@pytest.mark.parametrize(
    ("code", "stderr", "kind", "text"),
    [
        (0, "", OK, ""),
        (0, "some warning: permission denied", OK, ""),
        (1, "", FATAL, "options"),
        (10, "", RETRY, "socket"),
        (12, "rsync: connection unexpectedly closed", RETRY, "connection broke"),
        (
            12,
            "bash: line 1: rsync: command not found\nrsync error: …(code 12)",
            FATAL,
            "rsync is missing on the instance",
        ),
        (127, "sh: 1: rsync: not found", FATAL, "rsync is missing on the instance"),
        (12, 'rsync: [receiver] write failed on "/d/x": No space left on device (28)', FATAL, "no space left"),
        (11, "rsync: write failed: Disk quota exceeded", FATAL, "no space left"),
        (11, "", FATAL, "read or write"),
        (20, "", FATAL, "interrupted"),
        (
            23,
            'rsync: [sender] link_stat "/x" failed: No such file or directory (2)',
            FATAL,
            "source path does not exist",
        ),
        (
            23,
            'rsync: [sender] change_dir "/x" failed: No such file or directory (2)',
            FATAL,
            "source path does not exist",
        ),
        (
            23,
            'rsync: [generator] failed to set permissions on "/d": Operation not permitted (1)',
            FATAL,
            "may not read",
        ),
        (
            23,
            'rsync: [sender] send_files failed to open "/r/x": Permission denied (13)',
            FATAL,
            "may not read or write",
        ),
        (12, "mkdir: cannot create directory '/d': Permission denied", FATAL, "may not create the remote directory"),
        (12, "mkdir: cannot create directory '/d': File exists", FATAL, "the remote directory cannot be created"),
        (24, "file has vanished: /r/x", WARN, "vanished"),
        (30, "rsync error: timeout in data send/receive", RETRY, "60 s"),
        (35, "", RETRY, "in time"),
        (255, "ssh: connect to host h port 22: Connection refused", RETRY, "could not connect"),
        (255, "Host key verification failed.", FATAL, "host key"),
        (255, "admin@h: Permission denied (publickey).", FATAL, "login was refused"),
        (77, "", FATAL, "code 77"),
    ],
)
def test_verdict(code, stderr, kind, text):
    result = verdict(code, stderr)
    assert result.kind == kind
    assert text in result.text


def test_complaint_leaves_the_noise_out():
    stderr = "@@@@@@\nmkdir: no\nrsync: connection unexpectedly closed (0 bytes)\nrsync error: error in … (code 12)\n"
    assert complaint(stderr) == "mkdir: no"
    assert complaint("rsync error: only this\n") == "rsync error: only this"
    assert complaint("") == ""


def test_rank_path():
    assert rank_path("/r/", 0, 1) == "/r/"
    assert rank_path("/r/", 2, 3) == "/r/rank-2/"
    assert rank_path("/r", 2, 3) == "/r/rank-2/"


def test_knows_zstd():
    assert knows_zstd("Compress list:\n    zstd lz4 zlibx zlib none\n")
    assert not knows_zstd("Compress list:\n    zlibx zlib none\n")
    assert not knows_zstd("rsync  version 3.1.3\n")


def test_a_deletion_behind_the_progress_on_one_line_is_seen() -> None:
    report = Report()
    report.take(f"          2,000  25%    1.95kB/s    0:00:00 (xfr#1, to-chk=6/11){MARK}*deleting   a b/{MARK}x")
    assert report.changes == [Change("*deleting", f"a b/{MARK}x")] and report.bytes == 2000
