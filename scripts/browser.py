"""A headless Chromium, for pictures of pages and for the tests that use one."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
DRIVER = ("chromedriver",)


class BrowserMissingError(OSError):
    """No browser, or nothing to steer it with, is installed."""


@contextmanager
def headless(width: int, height: int) -> Iterator[Any]:
    """A Selenium driver of a browser without a window and with an empty profile.

    Raises
    ------
    BrowserMissingError
    """
    try:
        from selenium import webdriver
    except ImportError as error:
        raise BrowserMissingError("Selenium is not installed (extra 'browser')") from error
    program, driver = (next(filter(None, map(shutil.which, names)), None) for names in (CHROMIUM, DRIVER))
    if program is None or driver is None:
        raise BrowserMissingError("no Chromium with its driver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    with tempfile.TemporaryDirectory(prefix="asidcat-browser-") as profile:
        for argument in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
            f"--user-data-dir={profile}", f"--window-size={width},{height}",
        ):  # fmt: skip
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            yield browser
        finally:
            browser.quit()
