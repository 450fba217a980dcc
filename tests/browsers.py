"JavaScript of the site, run by Node.js or in headless Chromium, and pages that a test can use."

import json, shutil, subprocess, threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ddpm_course.site import measure
from tree import ROOT

LIVE = ROOT / "nbs" / "live"
RUNTIME = ROOT / "node_modules" / "onnxruntime-web" / "dist"  # as npm installs it


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def served(folder):
    "The address of a folder on this machine."
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def chromium():
    "A headless Chromium, of this machine or of playwright; skips the test where there is none."
    play = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with play.sync_playwright() as p:
        try:
            browser = p.chromium.launch(executable_path=measure.browser(), args=["--no-sandbox"])
        except play.Error as e:
            pytest.skip(f"no Chromium: {str(e).splitlines()[0]}")
        yield browser
        browser.close()


@contextmanager
def opened(browser, url, **options):
    "A page of its own, whose errors end the test."
    context = browser.new_context(**options)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(url)
    try:
        yield page
    finally:
        context.close()
        assert not errors, errors


def evaluate(source, function, argument):
    "What a function (its text) of one argument returns, after a script; both as JSON has them."
    if node := shutil.which("node"):
        read = "JSON.parse(require('fs').readFileSync(0, 'utf8'))"
        script = f"{source}\nprocess.stdout.write(JSON.stringify(({function})({read})))"
        done = subprocess.run(
            [node, "-e", script],
            input=json.dumps(argument),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)
    with chromium() as browser:
        return browser.new_page().evaluate(
            f"([source, argument]) => {{ eval(source + ';globalThis.Diffusion = Diffusion'); "
            f"return ({function})(argument) }}",
            [source, argument],
        )
