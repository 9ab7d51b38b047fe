"""The page as people use it: with mouse and keyboard, from the file, without a network."""

import json
import time

import pytest

pytest.importorskip("selenium", reason="needs the extra 'browser'")

from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait


def canvas(browser):
    return browser.find_element(By.ID, "sky-map")


def wait_for(browser, condition):
    return WebDriverWait(browser, 10, poll_frequency=0.05).until(lambda _: condition())


def zoom(browser) -> float:
    return float(canvas(browser).get_attribute("data-zoom"))


def points(browser) -> list[dict]:
    data = json.loads(browser.find_element(By.ID, "sky-points").get_attribute("textContent"))
    return [dict(zip(data["keys"], row, strict=True)) for row in data["points"]]


def brightest(browser) -> dict:
    return max((p for p in points(browser) if p["kind"] < 2), key=lambda p: p["sigma"])


def find(browser, words: str) -> None:
    browser.find_element(By.NAME, "find").send_keys(words, Keys.ENTER)


def chosen_row(browser) -> str:
    return browser.find_element(By.CSS_SELECTOR, "#rows tr.chosen").text


def test_nothing_is_fetched_and_no_script_fails(browser):
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map((r) => r.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_map_draws_every_source_over_the_counts(browser):
    wait_for(browser, lambda: int(canvas(browser).get_attribute("data-drawn")) == len(points(browser)))
    shades = browser.execute_script(
        "const c = document.getElementById('sky-map');"
        "const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "const seen = new Set(); for (let i = 0; i < p.length; i += 4) seen.add(p[i] << 16 | p[i + 1] << 8 | p[i + 2]);"
        "return seen.size"
    )
    assert shades > 20


def test_hovering_names_the_source_and_a_click_goes_to_its_row(browser):
    source = brightest(browser)
    find(browser, source["name"])
    wait_for(browser, lambda: zoom(browser) >= 16)
    # The search has put the source in the middle of the map.
    browser.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas(browser)
    )
    ActionChains(browser).move_to_element(canvas(browser)).perform()
    tip = browser.find_element(By.ID, "sky-tip")
    wait_for(browser, tip.is_displayed)
    assert source["name"] in tip.text and f"{source['sigma']} σ" in tip.text
    ActionChains(browser).click().perform()
    assert source["name"] in chosen_row(browser)
    assert browser.switch_to.active_element.tag_name == "tr"


def test_a_double_click_on_a_row_comes_back_to_the_sky(browser):
    row = browser.find_element(By.CSS_SELECTOR, "#rows tbody tr")
    name = row.find_elements(By.CSS_SELECTOR, "td.name")[1].text
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", row)
    ActionChains(browser).double_click(row).perform()
    wait_for(browser, lambda: zoom(browser) >= 16)
    assert browser.switch_to.active_element.get_attribute("id") == "sky-map"
    assert name in browser.find_element(By.ID, "sky-said").text


def test_the_wheel_zooms_only_a_map_that_has_the_focus(browser):
    browser.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas(browser)
    )
    origin = ScrollOrigin.from_element(canvas(browser))
    ActionChains(browser).scroll_from_origin(origin, 0, -100).perform()
    time.sleep(0.2)
    assert zoom(browser) == 1
    browser.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'}); arguments[0].focus()",
        canvas(browser),
    )
    ActionChains(browser).scroll_from_origin(origin, 0, -300).perform()
    wait_for(browser, lambda: zoom(browser) > 1.5)


def test_buttons_zoom_in_and_back_to_the_whole_sky(browser):
    browser.find_element(By.NAME, "closer").click()
    wait_for(browser, lambda: zoom(browser) == pytest.approx(1.8))
    browser.find_element(By.NAME, "whole").click()
    wait_for(browser, lambda: zoom(browser) == 1)


def test_the_keyboard_does_all_that_the_mouse_does(browser):
    browser.execute_script("document.getElementById('sky-map').focus()")
    keys = ActionChains(browser)
    keys.send_keys("n").perform()
    said = browser.find_element(By.ID, "sky-said")
    wait_for(browser, lambda: brightest(browser)["name"] in said.text)
    ActionChains(browser).send_keys("+", "+", Keys.ARROW_LEFT).perform()
    wait_for(browser, lambda: zoom(browser) == pytest.approx(2.25, abs=0.01))
    ActionChains(browser).send_keys("0").perform()
    wait_for(browser, lambda: zoom(browser) == 1)
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert brightest(browser)["name"] in chosen_row(browser)


def test_a_kind_that_is_unchecked_is_neither_drawn_nor_found(browser):
    browser.find_element(By.NAME, "kind0").click()
    left = sum(p["kind"] != 0 for p in points(browser))
    wait_for(browser, lambda: int(canvas(browser).get_attribute("data-drawn")) == left)


def test_a_name_that_nothing_has_is_said(browser):
    find(browser, "ASID J9999")
    assert "nothing is called ASID J9999" in browser.find_element(By.ID, "sky-said").text


def test_the_table_sorts_searches_and_changes_its_reference(browser):
    table = browser.find_element(By.ID, "rows")
    heads = {b.text: b for b in table.find_elements(By.CSS_SELECTOR, "thead button")}
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", table)
    heads["σ"].send_keys(Keys.ENTER)
    column = list(heads).index("σ")
    shown = [
        row.find_elements(By.TAG_NAME, "td")[column].text
        for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")
    ]
    numbers = [float(text) for text in shown if text]
    assert numbers == sorted(numbers, reverse=True) and len(numbers) == 60
    assert brightest(browser)["sigma"] == pytest.approx(numbers[0], abs=0.06)
    Select(browser.find_element(By.NAME, "catalog")).select_by_visible_text("3FHL")
    browser.find_element(By.NAME, "search").send_keys("3FHL J0003")
    wait_for(browser, lambda: browser.find_element(By.NAME, "count").text.startswith("1 of"))


def test_five_thousand_sources_move_smoothly(window, page, tmp_path):
    """The time from frame to frame while the map is moved by its keys, with points added to the page's own."""
    text = page.read_text()
    head, tail = text.split('id="sky-points">', 1)
    data, rest = tail.split("</script>", 1)
    crowded = json.loads(data)
    crowded["points"] += [
        [1, f"P{i}", (i * 137.5) % 360, (i * 7.3) % 160 - 80, 5.0, 1e-11, "", ""] for i in range(5000)
    ]
    many = tmp_path / "many.html"
    many.write_text(f'{head}id="sky-points">{json.dumps(crowded)}</script>{rest}')
    window.get(many.as_uri())
    wait_for(window, lambda: int(canvas(window).get_attribute("data-drawn")) > 5000)
    frames = window.execute_async_script(
        """
        const done = arguments[0], canvas = document.getElementById("sky-map"), times = [];
        let last = performance.now(), n = 0;
        const frame = () => {
          canvas.dispatchEvent(new KeyboardEvent("keydown", { key: n % 2 ? "ArrowLeft" : "+", bubbles: true }));
          const now = performance.now();
          times.push(now - last);
          last = now;
          n += 1;
          if (n < 40) requestAnimationFrame(frame); else done(times.slice(2));
        };
        requestAnimationFrame(frame);
        """
    )
    assert sorted(frames)[len(frames) // 2] < 100, frames
