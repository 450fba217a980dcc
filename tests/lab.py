"""Notebooks in a real JupyterLab in headless Chromium: their controls, moved by keyboard.

`python tests/lab.py nbs/10_images.ipynb ...` prints how long each control takes to act."""

import json, shutil, socket, subprocess, sys, tempfile, time, urllib.request
from contextlib import contextmanager
from pathlib import Path

from websocket import create_connection

from ddpm_course.site.measure import browser

# What the page is asked: run all cells; then what a control's next change takes.
RUN = """(async () => {
  const app = window.jupyterapp
  await app.restored
  const panel = await app.commands.execute("docmanager:open", {path: "%s"})
  await panel.context.ready
  await panel.sessionContext.ready
  await app.commands.execute("notebook:run-all-cells")
})()"""
CONTROLS = """(() => {
  const found = [...document.querySelectorAll(".noUi-handle, .widget-dropdown select")]
  return found.map(x => x.closest(".jupyter-widgets").querySelector("label")?.textContent || "")
})()"""
SHOW = """(() => {
  const x = document.querySelectorAll(".noUi-handle, .widget-dropdown select")[%d]
  x.scrollIntoView({block: "center"})
  x.focus()
})()"""
MOVED = """new Promise(done => {
  const x = document.querySelectorAll(".noUi-handle, .widget-dropdown select")[%d]
  const root = x.closest(".widget-interact")
  const start = performance.now()
  const seen = new MutationObserver(() => {
    if (!root.querySelector(".jp-OutputArea-output")) return
    seen.disconnect()
    requestAnimationFrame(() => done(performance.now() - start))
  })
  const output = root.querySelector(".widget-output, .jp-OutputArea")
  seen.observe(output, {childList: true, subtree: true})
  if (x.tagName === "SELECT") {
    x.selectedIndex = (x.selectedIndex + 1) %% x.length
    x.dispatchEvent(new Event("change", {bubbles: true}))
  } else x.dispatchEvent(new KeyboardEvent("keydown", {key: %s, bubbles: true}))
  setTimeout(() => { seen.disconnect(); done(null) }, 20000)
})"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answer(url):
    "What a server says as soon as it answers."
    for _ in range(300):
        try:
            return json.load(urllib.request.urlopen(url, timeout=10))
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"{url} did not answer in a minute")


class Page:
    "A tab of Chromium, spoken to by its debugging protocol."

    def __init__(self, port):
        tab = next(t for t in answer(f"http://127.0.0.1:{port}/json") if t["type"] == "page")
        self.socket = create_connection(tab["webSocketDebuggerUrl"], timeout=600)
        self.calls = 0

    def call(self, method, **params):
        self.calls += 1
        self.socket.send(json.dumps({"id": self.calls, "method": method, "params": params}))
        while (said := json.loads(self.socket.recv())).get("id") != self.calls:
            pass
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']}")
        return said["result"]

    def evaluate(self, script):
        result = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")


@contextmanager
def running(command, **options):
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def lab(folder):
    "JupyterLab on a folder and a browser beside it: the page and the address of the lab."
    port, debugging = free_port(), free_port()
    server = [
        sys.executable,
        "-m",
        "jupyter",
        "lab",
        "--no-browser",
        f"--port={port}",
        "--allow-root",
        "--expose-app-in-browser",
        "--IdentityProvider.token=",
        "--ServerApp.disable_check_xsrf=True",
        f"--ServerApp.root_dir={folder}",
    ]
    chromium = [
        browser(),
        "--headless=new",
        "--no-sandbox",
        "--remote-allow-origins=*",
        f"--remote-debugging-port={debugging}",
        f"--user-data-dir={folder}/profile",
        "--window-size=1400,900",
        "about:blank",
    ]
    with running(server, cwd=folder), running(chromium):
        answer(f"http://127.0.0.1:{port}/api")
        yield Page(debugging), f"http://127.0.0.1:{port}"


def opened(page, address, name):
    "Opens a notebook in JupyterLab and runs all of its cells."
    page.call("Page.navigate", url=f"{address}/lab?reset")
    while not page.evaluate("!!window.jupyterapp?.restored"):
        time.sleep(0.2)
    page.evaluate(RUN % name)


def times(page, moves=5):
    "For each control its name and the milliseconds from a key to the new picture, per move."
    found = {}
    for i, name in enumerate(page.evaluate(CONTROLS)):
        page.evaluate(SHOW % i)
        key = [json.dumps("ArrowRight"), json.dumps("ArrowLeft")]
        found[name or f"control {i} without a name"] = [
            page.evaluate(MOVED % (i, key[move % 2])) for move in range(moves)
        ]
    return found


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with lab(folder) as (page, address):
            for path in map(Path, sys.argv[1:]):
                shutil.copy(path, folder)
                opened(page, address, path.name)
                print(path.name, times(page), flush=True)
