"""A real browser without a window: Debian's Chromium, driven by WebDriver."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from lab import engine

PACKAGES = ["chromium", "chromium-driver"]
PHONE = {"width": 360, "height": 740, "pixelRatio": 2.0}
SECONDS = 120


def programs() -> tuple[str, str]:
    """Paths of browser and driver, installed where they are missing; the test is skipped where they cannot be had."""
    if not all(map(shutil.which, ("chromium", "chromedriver"))):
        try:
            engine.install_packages(PACKAGES, say=lambda _line: None)
        except engine.EngineError as err:  # of Ubuntu the package only fetches a snap
            pytest.skip(f"no browser: {err}")
    found = shutil.which("chromium"), shutil.which("chromedriver")
    if not found[0] or not found[1]:
        pytest.skip("no browser: the packages chromium and chromium-driver bring none here")
    return found[0], found[1]


@contextlib.contextmanager
def browser(phone: bool = False) -> Iterator[WebDriver]:
    """A browser with an empty profile, as wide as a desk or as a phone."""
    chromium, driver = programs()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if phone:
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": PHONE})
    one = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    try:
        yield one
    finally:
        one.quit()


def errors(page: WebDriver) -> list[str]:
    """What the console of the browser complains of."""
    return [row["message"] for row in page.get_log("browser") if row["level"] == "SEVERE"]


def sideways(page: WebDriver) -> int:
    """By how many pixels the page is wider than the window."""
    root = "document.scrollingElement"
    return int(page.execute_script(f"return {root}.scrollWidth - window.innerWidth"))


def shown(page: WebDriver, selector: str) -> WebElement:
    """The first element that a CSS selector finds, once it is there."""
    return WebDriverWait(page, SECONDS).until(
        lambda one: next(iter(one.find_elements(By.CSS_SELECTOR, selector)), None)
    )


def run_cells(page: WebDriver, address: str, count: int) -> None:
    """Open a notebook in JupyterLab and run its first cells, as somebody at the keyboard does."""
    page.get(address)
    for index in range(count):
        end = time.monotonic() + SECONDS
        while not _ran_soon(page, index):
            if time.monotonic() > end:
                pytest.fail(f"cell {index} has not run:\n{_text(page)}")
            page.refresh()


def _ran_soon(page: WebDriver, index: int) -> bool:
    """Whether a cell has run after a while. A request can be lost while the kernel is connected; people load the page again
    then."""
    busy = (WebDriverException,)  # cells come and go while JupyterLab opens a notebook and its kernel starts
    wait = WebDriverWait(page, SECONDS / 4, poll_frequency=2, ignored_exceptions=busy)
    with contextlib.suppress(TimeoutException):
        return wait.until(lambda one: _ran(one, index))
    return False


def _ran(page: WebDriver, index: int) -> bool:
    """Whether a cell has run. Else types what runs it, unless it runs: keys that come before the kernel are lost."""
    cell = page.find_elements(By.CSS_SELECTOR, ".jp-CodeCell")[index : index + 1]
    prompt = cell[0].find_element(By.CSS_SELECTOR, ".jp-InputPrompt").text if cell else "*"
    if "*" not in prompt and not re.search("[0-9]", prompt):
        cell[0].find_element(By.CSS_SELECTOR, ".cm-content").click()
        webdriver.ActionChains(page).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()
    return bool(re.search("[0-9]", prompt))


def printed(page: WebDriver, text: str) -> None:
    """Wait until the output of a cell has a text."""
    selector = ".jp-OutputArea-output"
    try:
        WebDriverWait(page, SECONDS).until(
            lambda one: any(text in found.text for found in one.find_elements(By.CSS_SELECTOR, selector))
        )
    except TimeoutException:
        pytest.fail(f"{text!r} is not on the page:\n{_text(page)}")


def _text(page: WebDriver) -> str:
    """What a page that is not as expected says, and what its console complains of."""
    return f"{page.find_element(By.TAG_NAME, 'body').text}\n{errors(page)}"
