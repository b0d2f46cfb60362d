"""Runs in a Python that has selenium: a headless Chromium at pages of ours. Reads JSON, prints JSON.

In: {chromium, chromedriver, profile, file, form, site, elsewhere: URLs}. Out: what the browser saw of each:
"uploaded": the URL where sending the form ended; "listing": the names on the listing page; "first": the text of the
page behind its first link; "scripts": what the page of another origin could read.
"""

import json
import sys

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE_S = 120
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-dev-shm-usage --no-proxy-server "
    "--disable-background-networking --disable-component-update --disable-sync"
)


def main(asked):
    options = webdriver.ChromeOptions()
    options.binary_location = asked["chromium"]
    for flag in [*FLAGS.split(), f"--user-data-dir={asked['profile']}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(asked["chromedriver"]))
    try:
        driver.set_page_load_timeout(PATIENCE_S)
        return look(driver, WebDriverWait(driver, PATIENCE_S), asked)
    finally:
        driver.quit()


def look(driver, wait, asked):
    found = {}
    driver.get(asked["form"])
    driver.find_element(By.NAME, "file1").send_keys(asked["file"])
    driver.find_element(By.ID, "send").click()
    wait.until(lambda _: driver.current_url != asked["form"])
    found["uploaded"] = driver.current_url
    driver.get(asked["site"])
    links = driver.find_elements(By.CSS_SELECTOR, "td a")
    found["listing"] = [link.text for link in links]
    next(link for link in links if not link.text.startswith("..")).click()
    wait.until(lambda _: driver.current_url != asked["site"])
    found["first"] = driver.find_element(By.TAG_NAME, "body").text
    driver.get(asked["elsewhere"])
    wait.until(lambda _: driver.find_element(By.ID, "done").text == "done")
    found["scripts"] = json.loads(driver.find_element(By.ID, "seen").text)
    return found


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
