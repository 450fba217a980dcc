"The site beyond its chapters: the landing page, and the pictures that the brand is made of."

import io, re

import pytest
import torch
import yaml
from PIL import Image

from ddpm_course.checks import noising
from ddpm_course.features import nearest
from ddpm_course.site import brand, film, parts
from tree import CHAPTERS, ROOT, cells, none

INDEX = ROOT / "nbs" / "index.ipynb"
IMAGES = ROOT / "nbs" / "images"


# ---- the pictures ----


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    "{file: bytes} as the command makes them."
    return brand.save_all(tmp_path_factory.mktemp("images"))


def levels(content):
    "The picture in a file, int64 (H, W, 4)."
    picture = Image.open(io.BytesIO(content)).convert("RGBA")
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.view(picture.height, picture.width, 4).long()


def test_pictures_are_those_that_the_command_makes(made):
    "Other versions of Pillow and matplotlib round and smooth edges differently."
    faults = []
    for name, content in made.items():
        if not (IMAGES / name).exists():
            faults.append(f"{name} is not in nbs/images: run python -m ddpm_course.site.brand")
            continue
        stored = (IMAGES / name).read_bytes()
        if name.endswith(".svg"):
            if stored.decode() != content.decode():
                faults.append(f"{name} is another")
            continue
        old, new = levels(stored), levels(content)
        if old.shape != new.shape:
            faults.append(f"{name} has {old.shape}, and is made as {new.shape}")
        elif (off := (old - new).abs().float().mean()) > 2:
            faults.append(f"{name} is off by {off:.1f} levels on average")
    none(faults)


def test_pictures_are_small(made):
    sizes = {name: (IMAGES / name).stat().st_size for name in made}
    moving = sum(size for name, size in sizes.items() if name.startswith(("film", "still")))
    assert sum(sizes.values()) < 600_000 and moving < 300_000, sizes
    assert Image.open(IMAGES / "card.png").size == (1200, 630)


def test_every_part_has_a_picture():
    assert {path.name[0] for path in CHAPTERS} == parts.PARTS.keys()


def test_the_pictures_of_the_film_are_new():
    "As its caption says: none is one of the two photographs, nor a mirror image."
    photos = parts.photographs(*film.SIZE)
    drawn = film.color_walk()[-1]
    known = torch.cat([photos, photos.flip(-1)])
    apart = nearest(photos, photos.flip(-1))[0].min()
    assert (nearest(drawn, known)[0] > apart / 4).all()


# ---- the landing page ----


def text_of_index():
    return "\n\n".join(cell.source for cell in cells(INDEX) if cell.kind == "markdown")


def film_on_the_page():
    "The HTML that the landing page shows first."
    cell = cells(INDEX)[1]
    assert cell.kind == "code" and cell.directives.get("echo") == "false"
    return "".join(cell.outputs[0]["data"]["text/html"])


def test_the_page_opens_with_film_buttons_and_whom_it_is_for():
    film_on_the_page()
    opening = cells(INDEX)[2].source
    buttons = re.search(r'<div class="buttons">\n\n(.*?)\n\n</div>', opening, re.S)[1]
    tour = "00_tour.ipynb"
    colab = f"https://colab.research.google.com/github/ddpm-course/ddpm_course/blob/main/nbs/{tour}"
    assert buttons == f"[Start with the tour]({tour})\n\n[Open in Colab]({colab})"
    for reader in ("You want to learn.", "You want to use it.", "You teach, or compare methods."):
        assert f"- **{reader}**" in opening


def test_the_film_is_the_one_that_the_code_makes():
    assert film_on_the_page() == film.film().data, "run nbs/index.ipynb again"


def test_the_film_stands_still_where_motion_is_not_wanted_and_can_be_paused():
    page = film_on_the_page()
    still = re.search(r"@media \(prefers-reduced-motion: reduce\) \{(.*?)\n\}", page, re.S)[1]
    assert re.search(r"\.moves \{ animation: none \}", still)
    base = re.search(r"\.film \.moves \{(.*?)\}", page)[1]
    assert "opacity: 0" in base, "without its animation, what moves is to hide and show the still"
    assert '<input type="checkbox" id="film-pause">' in page  # by keyboard, without a script
    assert '<label for="film-pause">Pause the film</label>' in page
    assert re.search(r"input:checked ~ \.reel \.moves \{ animation-play-state: paused \}", page)
    assert "<script" not in page and page.index("<input") < page.index('class="reel"')


def test_the_film_shows_files_that_are_there_and_tells_what_is_seen():
    page = film_on_the_page()
    shown = re.findall(r'src="images/([^"]*)"', page)
    assert {*shown} == {p.name for p in IMAGES.iterdir() if p.name.startswith(("film", "still"))}
    assert len(re.findall(r'class="still"[^>]*alt="[^"]{20,}"', page)) == len(shown) / 2
    assert len(re.findall(r'class="moves"[^>]*aria-hidden="true"', page)) == len(shown) / 2


def test_the_frames_lie_where_the_rules_look():
    for path in IMAGES.glob("film-*"):
        still = Image.open(IMAGES / path.name.replace("film", "still"))
        assert Image.open(path).size == (film.FILM_STEPS * still.width, still.height)


def test_the_map_gives_the_times_of_the_table():
    text = text_of_index()
    table = dict(re.findall(r"^\| \| \*\*(.*?)\*\*, (.*?) \|", text, re.M))
    cards = dict(re.findall(r"^\[([^\]]*)\]\(\w+\.ipynb\), (.*)$", text, re.M))
    assert table and cards == table


def test_the_mistake_that_the_page_quotes_is_named():
    quoted = re.search(r'"Not yet: ([^"]*)"', text_of_index())[1]
    assert quoted in noising.snr_db.wrong


def test_the_site_has_logo_and_card():
    site = yaml.safe_load((ROOT / "_quarto.yml").read_text(encoding="utf-8"))["website"]
    assert site["navbar"]["logo-alt"]
    for shown in (site["navbar"]["logo"], site["favicon"], site["open-graph"]["image"]):
        assert (ROOT / "nbs" / shown).is_file()
    card = site["open-graph"]
    assert card.items() <= site["twitter-card"].items() and len(card["image-alt"]) > 40
