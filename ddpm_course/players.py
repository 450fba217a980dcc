"Pictures one after another, with a slider that needs no kernel."

import base64
import hashlib
import io
import json

PLAYER = """<figure id="{id}" style="margin:0"><figcaption>{title}: <b></b></figcaption><img alt="{title}" style="image-rendering:pixelated;width:{width}px;max-width:100%">
<div><button style="color:inherit;background:none;border:1px solid;padding:0 .6em">play</button>
<input type="range" min="0" max="{last}" value="{start}" aria-label="frame" style="width:70%"></div>
<script>(() => {{ const root = document.getElementById("{id}"), [img, button, range, label] = ["img", "button", "input", "b"].map(tag => root.querySelector(tag))
const frames = {frames}, captions = {captions}; let timer = null
const show = () => {{ img.src = "data:image/png;base64," + frames[range.value]; label.textContent = captions[range.value] }}
const stop = () => {{ clearInterval(timer); timer = null; button.textContent = "play" }}
range.oninput = show
button.onclick = () => {{ if (timer) return stop(); button.textContent = "stop"
timer = setInterval(() => {{ range.value = (+range.value + 1) % frames.length; show() }}, 250) }}
show() }})()</script></figure>"""


def frame_player(frames, # uint8 pictures (H, W, 3), as `image_grid` makes them
                 captions, # one a frame
                 title="", # before the caption
                 start=0, # the frame shown first
                 scale=6): # screen pixels a picture pixel
    "An HTML player with a slider and a button; it works on a page without a kernel."
    from IPython.display import HTML
    from PIL import Image
    if len(frames) != len(captions): raise ValueError(f"got {len(frames)} frames and {len(captions)} captions; expected one caption a frame")
    pngs = []
    for frame in frames:
        Image.fromarray(frame.numpy()).save(buffer := io.BytesIO(), "PNG", optimize=True)
        pngs.append(base64.b64encode(buffer.getvalue()).decode())
    name = "player-" + hashlib.sha256("".join(pngs).encode()).hexdigest()[:10] # the same frames, the same page
    return HTML(PLAYER.format(id=name, title=title, width=frames[0].shape[1] * scale, last=len(pngs) - 1, start=start,
                              frames=json.dumps(pngs), captions=json.dumps(captions)))
