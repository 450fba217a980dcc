"The live pages: their mathematics against the package, and their controls in a browser."

import re

import pytest
import torch

import render
from browsers import LIVE, RUNTIME, chromium, evaluate, opened, served
from ddpm_course import noising, sampling, schedules
from ddpm_course.ddim import SPACINGS, spaced_timesteps
from ddpm_course.denoisers import level_range, snapped
from ddpm_course.guidance import cfg
from ddpm_course.randomness import ImageNoise, image_seeds
from ddpm_course.sampling import as_denoiser, karras_sigmas
from tree import ROOT, cells

SOURCE = (LIVE / "diffusion.js").read_text(encoding="utf-8")
NAMES = ("linear", "cosine", "scaled_linear", "sigmoid")


def schedule_of(name):
    return getattr(schedules, f"{name}_schedule", None) or getattr(noising, f"{name}_schedule")


def test_schedules_are_those_of_the_package():
    tables = evaluate(SOURCE, "names => names.map(Diffusion.scheduleOf)", NAMES)
    for name, table in zip(NAMES, tables):
        expected = torch.cat([torch.ones(1), schedule_of(name)().alpha_bars])
        assert torch.allclose(
            torch.tensor(table, dtype=torch.float64), expected, rtol=1e-9, atol=0
        ), name


def test_timesteps_are_those_of_the_package():
    counts = [*range(1, 60), 99, 100, 150, 336, 500, 999, 1000]
    ask = "([name, n]) => Diffusion.spacedTimesteps(name, n, Diffusion.scheduleOf('cosine'))"
    wanted = [(name, n) for name in SPACINGS for n in counts]
    found = evaluate(SOURCE, f"all => all.map({ask})", wanted)
    for (name, n), timesteps in zip(wanted, found):
        assert timesteps == spaced_timesteps(1000, n, name), (name, n)


@pytest.mark.parametrize("name", NAMES)
def test_karras_levels_are_snapped_as_in_the_package(name):
    counts = [1, 2, 5, 18, 50, 200, 500]
    ask = f"n => Diffusion.spacedTimesteps('karras', n, Diffusion.scheduleOf('{name}'))"
    denoiser = as_denoiser(lambda x, t: x, schedule_of(name)())
    for n, timesteps in zip(counts, evaluate(SOURCE, f"all => all.map({ask})", counts)):
        levels = snapped(karras_sigmas(n, *level_range(denoiser)).tolist(), denoiser.sigmas)
        assert denoiser.sigmas[timesteps].tolist() == levels, n


@pytest.mark.parametrize("size, steps", [(2, 20), (64, 3), (3072, 2)])
def test_noise_is_that_of_torch(size, steps):
    ask = f"seeds => seeds.map(([s, i]) => Diffusion.imageNoise(s, i, {size}, {steps}))"
    wanted = [(0, 0), (0, 1), (3, 1999), (65535, 65535)]
    for (seed, i), found in zip(wanted, evaluate(SOURCE, ask, wanted)):
        stream = ImageNoise([image_seeds(seed, 65536)[i]], (1, size, 1, 1))
        expected = [stream.draw(1)[0], *(next(stream) for _ in range(steps))]
        x_T, noise = (torch.tensor([*z.values()]) for z in (found["x_T"], found["noise"]))
        assert torch.allclose(x_T, expected[0].flatten(), atol=2e-6)
        drawn = noise.view(-1, size)[:steps]
        assert torch.allclose(drawn, torch.stack(expected[1:]).view(-1, size), atol=2e-6)


# ---- samplers ----

BASE = {
    "means": [[-1.2, 0.4], [0.9, 1.1], [0.35, -1.3]],
    "stds": [0.25, 0.4, 0.15],
    "schedule": "cosine",
    "sampler": "DDIM",
    "eta": 0,
    "spacing": "trailing",
    "steps": 12,
    "label": None,
    "scale": 3,
    "interval": [200, 800],
    "seed": 0,
    "n": 40,
}
CHOICES = {
    "DDIM": {},
    "DDIM, eta 0.5, leading": {"eta": 0.5, "spacing": "leading", "schedule": "linear"},
    "DDIM, eta 1": {"eta": 1, "schedule": "scaled_linear", "spacing": "quadratic"},
    "DDPM": {"sampler": "DDPM", "steps": 25},
    "DDPM, linspace": {"sampler": "DDPM", "spacing": "linspace", "schedule": "sigmoid"},
    "DDPM, all steps": {"sampler": "DDPM", "steps": 1000, "n": 3},
    "Euler": {"sampler": "Euler", "schedule": "linear"},
    "Heun": {"sampler": "Heun", "spacing": "karras"},
    "one step": {"sampler": "Heun", "steps": 1, "spacing": "karras"},
    "guided": {"label": 1},
    "guided Heun": {"label": 2, "scale": 2.5, "sampler": "Heun", "spacing": "karras"},
    "guided DDPM": {"label": 0, "sampler": "DDPM", "interval": [0, 999]},
    "without its label": {"label": 0, "scale": 0, "eta": 0.3},
    "one component": {"means": [[0.5, -0.25]], "stds": [0.5]},
}
WALK = """({choice, x_T, noise}) => {
  const times = Diffusion.timesOf(choice), states = new Float64Array(2 * choice.n * times.length)
  states.set(x_T.map(z => z * Diffusion.startScale(choice, times)))
  Diffusion.walk(choice, times, states, Diffusion.isRandom(choice) && noise, 0, choice.n)
  return [Diffusion.pythonOf(choice), [...states.slice(-2 * choice.n)],
    Diffusion.evaluations(choice, times)]
}"""


def by_python(code, x_T, noise):
    "The points that the code a page shows would give from this noise; and calls of the model."
    solver = "heun_" in code or "euler_" in code
    given = {"x_T": x_T} if solver else {"x_T": x_T, "noise": noise}
    assert code.count("seed=0") == 1
    names = {"given": given}
    exec(code.replace("seed=0", "**given"), names)
    return names["points"].flatten()


def parity(source, choice):
    choice = BASE | choice
    g = torch.Generator().manual_seed(1)
    x_T = torch.randn(choice["n"], 2, 1, 1, generator=g, dtype=torch.float64)
    noise = torch.randn(choice["steps"], *x_T.shape, generator=g, dtype=torch.float64)
    argument = {"x_T": x_T.flatten().tolist(), "noise": noise.flatten().tolist(), "choice": choice}
    code, points, _ = evaluate(source, WALK, argument)
    expected = by_python(code, x_T, noise)
    assert (torch.tensor(points, dtype=torch.float64) - expected).abs().max() < 1e-6


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_samplers_and_the_code_shown_agree(choice):
    parity(SOURCE, choice)


BUGS = {  # of diffusion.js: (right, wrong, a choice that notices)
    "the next time is t - 1": ("[...timesteps, -1]", "[...timesteps, 0]", "DDIM"),
    "sigma without eta": ("choice.eta * Math.sqrt((1 - b)", "Math.sqrt((1 - b)", "DDIM"),
    "the direction ignores sigma": ("1 - b - sigma ** 2", "1 - b", "DDIM, eta 1"),
    "no noise": ("+ spread * z[d]", "", "DDPM"),
    "noise of another step": ("const at = 2 * (k * n + i)", "const at = 2 * i", "DDPM"),
    "a solver begins with x_T": ("? times[0].noise : 1", "? 1 : 1", "Euler"),
    "no second slope": ("(to.sigma - from.sigma) / 2", "(to.sigma - from.sigma)", "Heun"),
    "scale is w": ("+ scale * (out[d]", "+ (1 + scale) * (out[d]", "guided"),
    "no interval": ("time.t > interval[1]", "false", "guided"),
    "all components weigh alike": ("part.log - 0.5", "-0.5", "DDIM"),
    "the pull of the mean alone": ("part.pull * (x", "part.pull * 0 * (x", "DDIM"),
    "leading for trailing": ("T - i * T / n) - 1", "T - (i + 1) * T / n)", "DDIM"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_in_the_page_is_noticed(bug):
    right, wrong, choice = BUGS[bug]
    assert SOURCE.count(right) == 1
    with pytest.raises(AssertionError, match="1e-06"):
        parity(SOURCE.replace(right, wrong), CHOICES[choice])


def test_evaluations_are_counted_as_the_package_counts():
    asked = []

    class Counted:
        num_classes, predicts = 1, "eps"

        def __call__(self, x, t, y=None):
            asked.append(len(x))
            return 0 * x

    for steps, scale, interval in [(12, 3, (200, 800)), (1, 3, (0, 999)), (7, 1, (0, 999))]:
        choice = BASE | {"steps": steps, "scale": scale, "interval": interval, "label": 0}
        for sampler in ("DDIM", "Heun"):
            asked.clear()
            given = {"x_T": [0.0] * 80, "noise": None, "choice": choice | {"sampler": sampler}}
            code, _, found = evaluate(SOURCE, WALK, given)
            schedule = noising.cosine_schedule()
            model = cfg(Counted(), 0, scale, interval=interval)
            x_T = torch.zeros(1, 1, 1, 1)
            if sampler == "DDIM":
                sampling.ddim_sample(model, schedule, x_T.shape, steps, clip=None, x_T=x_T)
            else:
                model = as_denoiser(model, schedule)
                sigmas = model.sigmas[spaced_timesteps(1000, steps)]
                sampling.heun_sample(model, x_T.shape, sigmas=sigmas, x_T=x_T)
            assert found == sum(asked), (sampler, steps, scale)


# ---- in a browser ----


@pytest.fixture(scope="module")
def browser():
    with chromium() as it:
        yield it


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "The address of the pages with something live on them."
    folder = tmp_path_factory.mktemp("live")
    for name in ("plane", "digits", "index"):
        page = render.page(cells(ROOT / "nbs" / f"{name}.ipynb"))
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    for name in ("images", "results", "live", "styles.css"):
        (folder / name).symlink_to(ROOT / "nbs" / name)
    (folder / "favicon.ico").touch()
    with served(folder) as url:
        yield url


PLANE = "document.querySelector('.plane').plane"


def picture(page):
    "The plane as it is drawn when all points have walked."
    page.wait_for_function(f"{PLANE}.walks.done === {PLANE}.choice.n && !{PLANE}.pending")
    return page.evaluate(f"{PLANE}.canvas.toDataURL()")


def stopped(page, share=0.6):
    page.get_by_role("button", name="Pause").click()
    page.evaluate(f"{PLANE}.place = {share} * {PLANE}.choice.steps; {PLANE}.wake()")
    return picture(page)


def choose(page, name, option):
    page.get_by_label(name, exact=True).select_option(option)


def press(page, name, key):
    page.get_by_label(name, exact=True).press(key)


MOVES = {  # what a control is called: what a reader does to it
    "data": lambda p: choose(p, "data", "ring"),
    "component": lambda p: choose(p, "component", "2"),
    "its spread": lambda p: press(p, "its spread", "PageUp"),
    "Draw": lambda p: draw(p),
    "Add": lambda p: p.get_by_role("button", name="Add").click(),
    "Remove": lambda p: p.get_by_role("button", name="Remove").click(),
    "schedule": lambda p: choose(p, "schedule", "linear"),
    "steps": lambda p: press(p, "steps", "ArrowLeft"),
    "spacing": lambda p: choose(p, "spacing", "quadratic"),
    "eta": lambda p: press(p, "eta", "End"),
    "seed": lambda p: p.get_by_label("seed").fill("7"),
    "guide to": lambda p: choose(p, "guide to", "0"),
    "scale": lambda p: press(p, "scale", "ArrowRight"),
    "from t": lambda p: press(p, "from t", "PageUp"),
    "to t": lambda p: press(p, "to t", "PageDown"),
    "sampler": lambda p: choose(p, "sampler", "Heun"),
    "density": lambda p: p.get_by_label("density").press("Space"),
    "components": lambda p: p.get_by_label("components").press("Space"),
    "paths": lambda p: p.get_by_label("paths").press("Space"),
    "landings": lambda p: p.get_by_label("landings").press("Space"),
    "time": lambda p: press(p, "time", "Home"),
    "dark": lambda p: p.evaluate("document.body.className = 'quarto-dark'"),
}


def draw(page):
    page.get_by_role("button", name="Draw").click()
    box = page.locator(".plane canvas").first.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 200, steps=10)
    page.mouse.up()
    page.get_by_role("button", name="Done").click()
    assert len(page.evaluate(f"{PLANE}.choice.means")) > 3


def test_every_control_of_the_plane_changes_the_picture(browser, site):
    with opened(browser, f"{site}/plane.html") as page:
        seen = stopped(page)
        for name, move in MOVES.items():
            move(page)
            before, seen = seen, picture(page)
            assert seen != before, name
        controls = page.locator(".plane :is(input, select)").all()
        names = [
            c.get_attribute("aria-label") or c.evaluate("e => e.labels[0].textContent.trim()")
            for c in controls
        ]
        assert {*names} <= {*MOVES}


def test_components_are_moved_by_hand_and_by_keys(browser, site):
    with opened(browser, f"{site}/plane.html") as page:
        stopped(page)
        x, y = page.evaluate(
            f"(box => [box.x + {PLANE}.picture.x(1), box.y + {PLANE}.picture.y(1)])"
            f"({PLANE}.canvas.getBoundingClientRect())"
        )
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 40, y + 20, steps=4)
        page.mouse.up()
        (left, _), (moved, low), _ = page.evaluate(f"{PLANE}.choice.means")
        unit = page.evaluate(f"{PLANE}.picture.unit")
        assert (left, moved, low) == (-1.2, round(1 + 40 / unit, 2), round(1 - 20 / unit, 2))
        canvas = page.locator(".plane canvas").first
        for key in ("PageUp", "ArrowLeft", "ArrowUp"):
            canvas.press(key)
        assert page.evaluate(f"{PLANE}.choice.means")[0] == [-1.25, 0.55]
        canvas.press("Delete")
        assert len(page.evaluate(f"{PLANE}.choice.means")) == 2


def swipe(page, right, up):
    "A finger moves from the middle of what the canvas shows."
    box = page.locator(".plane canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    for kind, part in (("Start", 0), *(("Move", i / 8) for i in range(1, 9)), ("End", None)):
        at = [] if part is None else [{"x": x + right * part, "y": y - up * part}]
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": at})
    page.wait_for_timeout(100)


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def test_a_finger_moves_and_draws_on_the_plane_and_scrolls_the_landing_page(browser, site):
    means, scrolled = f"JSON.stringify({PLANE}.choice.means)", "scrollY"
    with opened(browser, f"{site}/plane.html", **PHONE) as page:
        canvas = page.locator(".plane canvas").first
        canvas.scroll_into_view_if_needed()
        page.evaluate(f"{PLANE}.set({{data: 'own', means: [[0, 0], [2, 2]], stds: [0.2, 0.2]}})")
        before = page.evaluate(scrolled)
        swipe(page, 40, 40)
        (x, y), other = page.evaluate(f"{PLANE}.choice.means")
        assert x > 0.3 and y > 0.3 and other == [2, 2] and page.evaluate(scrolled) == before
        page.get_by_role("button", name="Draw").tap()
        canvas.scroll_into_view_if_needed()
        swipe(page, 100, 60)
        assert len(page.evaluate(f"{PLANE}.choice.means")) > 2
    with opened(browser, f"{site}/index.html", **PHONE) as page:
        page.locator(".plane canvas").scroll_into_view_if_needed()
        before = page.evaluate(f"[{means}, {scrolled}]")
        swipe(page, 0, 120)
        assert page.evaluate(means) == before[0] and page.evaluate(scrolled) > before[1]


def test_the_code_shown_gives_the_points_of_the_page(browser, site):
    with opened(browser, f"{site}/plane.html") as page:
        for choice in ({}, {"sampler": "DDPM"}, {"sampler": "Heun", "spacing": "karras"}):
            page.evaluate(f"change => {PLANE}.set(change)", choice | {"n": 100})
            picture(page) if not page.evaluate(f"{PLANE}.playing") else stopped(page)
            names = {}
            exec(page.locator(".plane details code").text_content(), names)
            points = torch.tensor(page.evaluate(f"[...{PLANE}.walks.states.slice(-200)]"))
            far = (points - names["points"].flatten()).abs()
            assert far.max() < 1e-3 and far.median() < 1e-5  # Python computes in float32


def test_what_the_page_proposes_is_shown(browser, site):
    with opened(browser, f"{site}/plane.html") as page:
        stopped(page)
        for button in page.locator("[data-plane]").all():
            button.click()
            assert page.evaluate(f"{PLANE}.playing")
            asked = page.evaluate("e => JSON.parse(e.dataset.plane)", button.element_handle())
            chosen = page.evaluate(f"{PLANE}.choice")
            assert asked.items() <= chosen.items()


def test_the_landing_page_moves_unless_its_reader_wants_rest(browser, site):
    for motion in ("no-preference", "reduce"):
        with opened(browser, f"{site}/index.html", reduced_motion=motion) as page:
            page.locator(".plane canvas").scroll_into_view_if_needed()
            page.wait_for_function(f"{PLANE}.walks.done === {PLANE}.choice.n")
            before = page.evaluate(f"[{PLANE}.place, {PLANE}.choice.steps]")
            page.wait_for_timeout(300)
            after = page.evaluate(f"{PLANE}.place")
            assert after == before[1] if motion == "reduce" else after != before[0]


# ---- networks ----

CDN = re.search(r'"(https://cdn\S+@(\S+?)/dist/)"', (LIVE / "networks.js").read_text())
HEADERS = {"access-control-allow-origin": "*"}


@pytest.mark.parametrize("images", ["digits", "pictures"])
@pytest.mark.parametrize("other", [None, "export const env = {wasm: {}}"], ids=["off", "forged"])
def test_without_the_pinned_program_the_page_says_so(browser, site, other, images):
    def answer(route):
        route.fulfill(body=other, headers=HEADERS) if other else route.abort()

    context = browser.new_context()
    context.route(f"{CDN[1]}*", answer)
    page = context.new_page()
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda e: errors.append(e))
    page.goto(f"{site}/digits.html")
    page.wait_for_timeout(100)
    assert not [url for url in asked if not url.startswith(site)]  # before the button is pressed
    page.get_by_role("button", name=f"Load the network and draw {images}").click()
    page.get_by_text("could not be loaded").wait_for()
    films = page.locator("figure[class^=player] img")
    assert films.count() == 2 and all(film.is_visible() for film in films.all()) and not errors
    context.close()


KNOBS = {
    "label": lambda p: p.get_by_role("combobox").first.select_option("7"),
    "eta": lambda p: press(p, "eta", "End"),
    "spacing": lambda p: choose(p, "spacing", "quadratic"),
    "guidance": lambda p: press(p, "guidance", "Home"),
    "seed": lambda p: p.get_by_label("seed").fill("12"),
    "steps": lambda p: press(p, "steps", "ArrowRight"),
    "time": lambda p: press(p, "time", "Home"),
}


@pytest.mark.skipif(
    not RUNTIME.is_dir(), reason=f"needs npm install --no-save onnxruntime-web@{CDN[2]}"
)
@pytest.mark.parametrize("name, shape", [("digits", (10, 1, 8, 8)), ("color", (10, 3, 32, 32))])
def test_the_page_draws_the_images_of_python(browser, site, name, shape):
    def answer(route):
        route.fulfill(path=RUNTIME / route.request.url.rpartition("/")[2], headers=HEADERS)

    network = f"document.querySelector('[data-network={name}]').network"
    with opened(browser, f"{site}/digits.html") as page:
        page.route(f"{CDN[1]}*", answer)
        part = page.locator(f"[data-network={name}]")
        page.evaluate(f"{network}.choice.steps = {20 if name == 'digits' else 2}; {network}.show()")
        part.get_by_role("button", name="Load the network").click()
        page.wait_for_function(f"{network}.took", timeout=120_000)  # 14 MB pass through the test
        drawn = lambda: (
            page.evaluate(f"[...{network}.states.at(-1).x]"),
            part.locator("details code").text_content(),
        )
        compared = [drawn()]
        page.evaluate(f"{network}.choice.steps = 2; {network}.show()")
        for knob, move in KNOBS.items():
            before = page.evaluate(f"{network}.took = 0; {network}.rows.x[3].toDataURL()")
            move(part)
            page.wait_for_function(f"{network}.took || '{knob}' === 'time'")
            assert page.evaluate(f"{network}.rows.x[3].toDataURL()") != before, knob
            compared.append(drawn())
        for pixels, code in compared:
            names = {}
            exec(code, names)
            images = names["images"]
            assert images.shape == shape, code
            assert (torch.tensor(pixels) - images.flatten()).abs().max() < 1e-3, code
        assert len({code for _, code in compared}) == 7
