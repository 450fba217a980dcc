"Logo, favicon, card and film: `python -m ddpm_course.site.brand` makes nbs/images again."

import io
from pathlib import Path

import torch

from ..noising import cosine_schedule, q_sample
from .film import color_walk, digits_walk, film_pictures
from .parts import GROUND, as_picture, enlarged, part_pictures, side_by_side

FOLDER = Path(__file__).parents[2] / "nbs" / "images"
ORANGE = (242, 142, 43)
SEED = 28 # of the noise of the dot: one that leaves a disc to be seen
TITLE = "ddpm_course"
SENTENCE = "Diffusion models from first principles:\na course of notebooks that is also a library"


def dot(side=8):
    "A disc of side x side pixels that noise covers from right to left, uint8 (side, side, 3)."
    axis = torch.arange(side) - (side - 1) / 2
    disc = (axis**2 + axis[:, None]**2 < (side / 2 - 0.1)**2) * 2.0 - 1
    noise = torch.randn(side, side, generator=torch.Generator().manual_seed(SEED))
    t = torch.linspace(1200, -400, side).clamp(0, 900).long()
    noised = [q_sample(cosine_schedule(), disc[:, i].view(1, 1, side, 1), int(t[i]),
                       noise[:, i].view(1, 1, side, 1)) for i in range(side)]
    share = (torch.cat(noised, 3)[0, 0].clamp(-1, 1)[..., None] + 1) / 2
    ground = torch.tensor(GROUND)
    return (ground + share * (torch.tensor(ORANGE) - ground)).round().byte()


def color_code(pixel):
    "(r, g, b) as CSS writes it."
    return "#" + bytes(pixel).hex()


def logo_svg():
    "The dot as SVG, a square a pixel, on a dark tile with round corners."
    squares = [f'<rect x="{x + 1}" y="{y + 1}" width="1" height="1" fill="{color_code(pixel)}"/>'
               for y, row in enumerate(dot().tolist()) for x, pixel in enumerate(row)]
    return "\n".join([
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10" shape-rendering="crispEdges">',
        f'<rect width="10" height="10" rx="1.5" fill="{color_code(GROUND)}"/>',
        *squares, "</svg>", ""])


def logo(scale):
    "The dot with `scale` screen pixels a square, on its tile."
    from PIL import Image, ImageDraw
    side = 10 * scale
    shape = Image.new("L", (4 * side, 4 * side)) # made smaller, so that its corners are smooth
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, 4 * side, 4 * side), 6 * scale, 255)
    tile = Image.new("RGB", (side, side), GROUND)
    tile.paste(enlarged(as_picture(dot()), scale), (scale, scale))
    tile.putalpha(shape.resize((side, side), Image.Resampling.BOX))
    return tile


def font(size):
    "DejaVu Sans, which comes with matplotlib."
    import matplotlib
    from PIL import ImageFont
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(file), size)


def card():
    "What links to the site are shown with: title, sentence, noise that turns into pictures."
    from PIL import Image, ImageDraw
    page = Image.new("RGB", (1200, 630), GROUND)
    pen = ImageDraw.Draw(page)
    page.paste(enlarged(as_picture(dot()), 12), (60, 50))
    pen.text((186, 54), TITLE, "white", font(72))
    pen.multiline_text((60, 182), SENTENCE, (214, 220, 230), font(40), spacing=14)
    for i, k in enumerate((0, 10, 16, 24)): # states of the walk
        photo = as_picture(side_by_side(color_walk()[k, 1:2]))
        page.paste(photo.resize((270, 180), Image.Resampling.BICUBIC), (60 + 270 * i, 310))
        digits = as_picture(side_by_side(digits_walk()[k, 2:5]))
        page.paste(enlarged(digits, 11), (63 + 270 * i, 502))
    return page


def pictures():
    "{file in nbs/images: picture of Pillow}"
    return film_pictures() | part_pictures() | {"favicon.png": logo(6), "card.png": card()}


QUALITY = {"film": 24, "still": 88} # noise hides what the first loses


def encoded(name, picture):
    "A picture as the bytes of the file of that name; what is no film has few colors."
    kind = name.partition("-")[0]
    if name.endswith(".jpg"):
        options = {"format": "JPEG", "quality": QUALITY[kind]}
    else:
        options = {"format": "PNG"}
        if kind in ("card.png", "part"): picture = picture.quantize(200, dither=0)
    picture.save(buffer := io.BytesIO(), optimize=True, **options)
    return buffer.getvalue()


def save_all(folder=FOLDER):
    "Write every picture and the logo; returns {file: bytes}."
    files = {name: encoded(name, picture) for name, picture in pictures().items()}
    files["logo.svg"] = logo_svg().encode()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items(): (folder / name).write_bytes(content)
    return files


if __name__ == "__main__":
    made = save_all()
    for name, content in made.items(): print(f"{len(content):8,} bytes  {name}")
    print(f"{sum(map(len, made.values())):8,} bytes in all, in {FOLDER}")
