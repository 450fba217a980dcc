"""Measure the pages of a rendered site in headless Chromium, and print those that fall short.

`python -m ddpm_course.site.measure _docs [page.html ...]`"""

import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SCRIPT = Path(__file__).with_name("measure.js")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SCREENS = 18 # of 1400 x 900 pixels, at most
PROSE = 0.30 # of a chapter's height, at least
FIGURES = 0.15
WAIT = 120 # seconds for one page
EXEMPT = ("reference_", "part_", "index", "notation", "figures", "glossary", "conformance", "plane",
          "digits.", "architecture", "teaching")


class Handler(SimpleHTTPRequestHandler):
    "Serves the site, the measuring page, and takes in what that finds."
    def __init__(self, *args, pages, found, **kwargs):
        self.pages = pages # before the base class, which handles the request
        self.found = found
        super().__init__(*args, **kwargs)

    def log_message(self, *args): pass

    def do_GET(self):
        if self.path != "/measure": return super().do_GET()
        script = f"{SCRIPT.read_text('utf-8')}\nmeasure({json.dumps(self.pages)})"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"<!doctype html><body><script>{script}</script>".encode())

    def do_POST(self):
        self.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()


def browser():
    "The path of a Chromium, or None."
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def measured(folder, pages):
    "What each page of a folder measures, as dicts."
    found = queue.Queue()
    handler = partial(Handler, directory=str(folder), pages=pages, found=found)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser(), "--headless=new", "--no-sandbox", "--window-size=1440,960",
                   f"--user-data-dir={profile}", "--remote-debugging-port=0",
                   f"http://127.0.0.1:{server.server_port}/measure"]
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process = subprocess.Popen(command, **quiet)
        try:
            while (page := found.get(timeout=WAIT)) is not None: yield page
        finally:
            process.kill()
            process.wait()
            server.shutdown()


def is_chapter(page):
    "Is this the page of a chapter, that has to keep to the shares?"
    return not page.startswith(EXEMPT)


def faults(found):
    "What falls short on one page, as sentences."
    if is_chapter(found["page"]):
        if found["screens"] > SCREENS: yield f"{found['screens']:.1f} screens, more than {SCREENS}"
        for what, least in (("prose", PROSE), ("figures", FIGURES)):
            share = f"{found[what]:.1%} of the height"
            if found[what] < least: yield f"{what} {share}, below {least:.0%}"
    if found["wide"]: yield f"wider than 390 px: {found['wide']}"
    for what, said in (("widgets", "widgets that need a kernel"), ("noAlt", "pictures without alt"),
                       ("nameless", "controls without a name")):
        if found[what]: yield f"{found[what]} {said}"
    for key, ground in (("faint", "light"), ("faintDark", "dark")):
        for text in found[key]: yield f"contrast below 4.5 on {ground}: {text}"


def pages_of(folder):
    "The pages of a site, chapters and all."
    return sorted(path.name for path in Path(folder).glob("*.html") if path.name != "404.html")


def report(folder, pages=()):
    "Print a line for each fault, and the measures of each chapter."
    short = 0
    for found in measured(folder, list(pages) or pages_of(folder)):
        if is_chapter(found["page"]):
            print("{page}: {screens:.1f} screens, prose {prose:.0%}, figures {figures:.0%}, "
                  "code {code:.0%}".format(**found))
        for fault in faults(found):
            print(f"  {found['page']}: {fault}")
            short += 1
    print(f"{short} places fall short" if short else "no page falls short")


if __name__ == "__main__":
    if browser(): report(*sys.argv[1:2], sys.argv[2:])
    else: print(f"the pages were not measured: none of {', '.join(BROWSERS)} is on the PATH")
