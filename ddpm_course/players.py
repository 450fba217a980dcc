"Pictures one after another, with a slider that needs no kernel."

import base64
import hashlib
import html
import io
import json

import torch

from .kinds import anything, described, listed, positive, whole

PLAYER = """<figure class="{name}" style="margin:0">
<figcaption>{title}<b>{caption}</b></figcaption>
<img src="data:image/png;base64,{first}" alt="{alt}"
 style="image-rendering:pixelated;width:{width}px;max-width:100%">
<div hidden>
<button style="color:inherit;background:none;border:1px solid;padding:0 .6em">play</button>
<input type="range" min="0" max="{last}" value="{start}" aria-label="frame" style="width:70%"></div>
<script>(() => {{
const frames = {frames}, captions = {captions}
for (const root of document.querySelectorAll(".{name}:not(.runs)")) {{
  const [img, button, range, label, controls] =
    ["img", "button", "input", "b", "div"].map(tag => root.querySelector(tag))
  let timer = null
  const show = () => {{
    img.src = "data:image/png;base64," + frames[range.value]
    label.textContent = captions[range.value]
  }}
  const stop = () => {{ clearInterval(timer); timer = null; button.textContent = "play" }}
  range.oninput = show
  button.onclick = () => {{
    if (timer) return stop()
    button.textContent = "stop"
    timer = setInterval(() => {{ range.value = (+range.value + 1) % frames.length; show() }}, 250)
  }}
  root.classList.add("runs")
  controls.hidden = false
  show()
}}
}})()</script></figure>"""


def _png(frame):
    "A uint8 picture (H, W, 3 or 4) as PNG in base64."
    from PIL import Image
    Image.fromarray(frame.numpy()).save(buffer := io.BytesIO(), "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _script(value):
    "JSON that may stand in a script: a string with </script> in it would end it."
    return json.dumps(value).replace("<", "\\u003c")


def check_frames(frames):
    "TypeError or ValueError unless all are uint8 pictures (H, W, 3 or 4) of one size."
    if not hasattr(frames, "__len__") or isinstance(frames, (str, dict)):
        raise TypeError(f"frames={described(frames)}; expected a list of uint8 pictures")
    for i, frame in enumerate(frames):
        picture = isinstance(frame, torch.Tensor) and frame.dtype == torch.uint8 and frame.ndim == 3
        if not picture or frame.shape[2] not in (3, 4) or frame.shape != frames[0].shape:
            raise ValueError(f"frames[{i}]: got {described(frame)}; expected uint8 pictures (H, W, "
                             "3 or 4) of one size, as image_grid makes them")
    return frames


def frame_player(frames, # uint8 pictures (H, W, 3 or 4), as `image_grid` makes them
                 captions, # one a frame
                 title: str="", # before the caption
                 start: int=0, # the frame shown first, and the only one where no script runs
                 scale: float=6): # screen pixels a picture pixel
    "An HTML player with a slider and a button; it works on a page without a kernel."
    from IPython.display import HTML
    frames = list(check_frames(frames))
    captions = listed(anything, what="a list of captions")(captions, "captions")
    if not len(frames) or len(frames) != len(captions):
        raise ValueError(f"got {len(frames)} frames and {len(captions)} captions; expected one "
                         "caption a frame, and at least one frame")
    start = whole(0, len(frames) - 1, f"a frame, 0..{len(frames) - 1}")(start, "start")
    scale = positive(scale, "scale")
    pngs = [_png(frame) for frame in frames]
    captions = [str(caption) for caption in captions]
    content = json.dumps([pngs, captions, title, start, scale]) # the same content, the same page
    return HTML(PLAYER.format(
        name="player-" + hashlib.sha256(content.encode()).hexdigest()[:10],
        title=html.escape(f"{title}: ") if title else "", alt=html.escape(title or "player"),
        caption=html.escape(captions[start]), first=pngs[start], start=start, last=len(pngs) - 1,
        width=round(frames[0].shape[1] * scale), frames=_script(pngs), captions=_script(captions)))
