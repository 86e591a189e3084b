# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""News of an experiment, and the ways to tell them: a webhook, an SNS topic, the desktop. One function each."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible.module_utils.urls import open_url

EVENTS = ("start", "end", "interruption", "failure")
WORDS = {
    "start": "the job has started",
    "end": "the job has ended well",
    "interruption": "AWS takes an instance",
    "failure": "something has failed",
}
# Seconds for each way: nobody waits for news.
PATIENCE = 5.0
# Source: SNS API Publish: at most 100 characters of ASCII without line breaks, and 256 KiB.
SUBJECT = 100
LONGEST = 8000


@dataclass(frozen=True)
class News:
    """What has happened.

    Attributes:
        experiment: name of the experiment.
        event: one of ``EVENTS``.
        text: what happened, some lines for people.
        time: ISO 8601, UTC.
    """

    experiment: str
    event: str
    text: str
    time: str

    @property
    def title(self) -> str:
        """One line."""
        return f"{self.experiment}: {WORDS[self.event]}"

    @property
    def body(self) -> str:
        """The lines, without the title."""
        return self.text.strip()[:LONGEST]


def post(url: str, news: News) -> None:
    """POST the news as JSON: experiment, event, time and text, whose first line is the title.

    Raises:
        OSError: no answer, or none of 2xx; a redirect is not followed.
    """
    document = asdict(news) | {"text": f"{news.title}\n{news.body}".strip()}
    headers = {"Content-Type": "application/json"}
    data = json.dumps(document).encode()
    open_url(url, data=data, headers=headers, method="POST", timeout=PATIENCE, follow_redirects="none").close()


def publish(sns: Any, topic: str, news: News) -> None:
    """Publish the news to a topic; experiment and event are attributes, for filters of subscriptions.

    Args:
        sns: client of the SDK.
        topic: ARN.
        news: see there.

    Raises:
        BotoCoreError, ClientError: it was not published.
    """
    told = {"experiment": news.experiment, "event": news.event}
    sns.publish(
        TopicArn=topic,
        Subject=news.title[:SUBJECT],
        Message=f"{news.title}\n\n{news.body}\n\n{news.time}",
        MessageAttributes={key: {"DataType": "String", "StringValue": value} for key, value in told.items()},
    )


def desktop_command(news: News, which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """The command that shows the news on this machine, [] where there is no program for it.

    Source: notify-send(1); AppleScript Language Guide, "display notification".
    """
    if which("notify-send"):
        urgency = "critical" if news.event == "failure" else "normal"
        return ["notify-send", "--app-name=experiments.spot", f"--urgency={urgency}", "--", news.title, news.body]
    if which("osascript"):
        lines = ["on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run"]
        return ["osascript", *(part for line in lines for part in ("-e", line)), news.title, news.body]
    return []


def show(command: list[str]) -> None:
    """Show the news on this machine.

    Raises:
        OSError, SubprocessError: it is not shown.
    """
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)


def tell(ways: Mapping[str, Callable[[], None]], reason: Callable[[Exception], str]) -> tuple[list[str], list[str]]:
    """Try all ways; one that fails hinders no other, and no run.

    Returns:
        The ways that were gone, and a line for each that failed.
    """
    gone, failed = [], []
    for name, way in ways.items():
        try:
            way()
            gone.append(name)
        except Exception as error:  # whatever it is, the experiment is worth more than its news
            failed.append(f"notify.{name}: {reason(error)}")
    return gone, failed
