"""The page of examples/tus in Chromium without a window."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver.remote.webdriver import WebDriver

_FLAGS = (
    "--headless",
    "--no-sandbox",  # which Chromium refuses to root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_SECONDS = 100


@contextmanager
def chromium(profile: Path) -> Iterator[WebDriver]:
    """A browser that knows nothing yet; gone at the end of the block."""
    options = webdriver.ChromeOptions()
    options.binary_location = programs.find("chromium")
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=programs.find("chromedriver"))
    driver = webdriver.Chrome(options, service)
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """The page, as who sits before it sees and uses it."""

    def __init__(self, driver: WebDriver, url: str) -> None:
        self._driver = driver
        driver.get(url)

    def choose(self, path: Path) -> None:
        self._driver.find_element(By.ID, "file").send_keys(str(path))

    def reload(self) -> None:
        self._driver.refresh()

    @property
    def bar(self) -> float:
        """How far the bar is filled, from 0 to 1."""
        return float(self._driver.find_element(By.ID, "bar").get_property("value"))  # type: ignore[arg-type]  # selenium says: or bool, or element

    @property
    def status(self) -> str:
        return self._driver.find_element(By.ID, "status").text

    @property
    def button(self) -> str:
        """What stands on the button; nothing when it cannot be clicked."""
        button = self._driver.find_element(By.ID, "button")
        return button.text if button.is_enabled() else ""

    def click(self, label: str) -> None:
        assert self.button == label
        self._driver.find_element(By.ID, "button").click()

    def wait_until(self, true: Callable[[Page], bool]) -> None:
        """Until what the page shows is `true`."""
        WebDriverWait(self._driver, _SECONDS, 0.05).until(
            lambda _: true(self), f"the page says: {self.status!r}"
        )

    def screenshot(self) -> bytes:
        return self._driver.get_screenshot_as_png()
