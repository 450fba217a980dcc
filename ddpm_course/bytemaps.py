"Drawings of files: what each byte is for, and what is on the disk when."

import json

PART_COLORS = ("#a3572b", "#2f6694", "#7a4d9f", "#3d7a46") # white text is legible on all of them


def _shown(byte):
    "A byte as its character, or as a number where it is none."
    return chr(byte) if 33 <= byte < 127 else "␣" if byte == 32 else f"{byte:02x}"


def safetensors_parts(data): # all bytes of a safetensors file
    "{part: (begin, end)}: the length, the header, and each tensor in the order of its bytes."
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    header.pop("__metadata__", None)
    places = {name: entry["data_offsets"] for name, entry in header.items()}
    tensors = sorted(places.items(), key=lambda item: item[1])
    parts = {name: (begin + start, begin + end) for name, (start, end) in tensors}
    return {"length": (0, 8), "header": (8, begin)} | parts


def draw_bytes(data: bytes, # of a small file
               parts: dict, # {what they are: (begin, end)}
               texts=("header",), # the parts whose bytes are shown as characters
               columns: int=20): # bytes a row
    "Draw a file byte by byte, each part in its color; returns the axes."
    import matplotlib.pyplot as plt
    height = -(-len(data) // columns)
    ax = plt.subplots(figsize=(7.4, 0.34 * height + 0.5))[1]
    for color, (name, (begin, end)) in zip(PART_COLORS, parts.items()):
        places = [(i % columns, -(i // columns)) for i in range(begin, end)]
        ax.bar(*zip(*[(x, 0.9) for x, _ in places]), width=0.9, color=color,
               bottom=[y - 0.45 for _, y in places], label=name)
        for (x, y), byte in zip(places, data[begin:end]):
            text = _shown(byte) if name in texts else f"{byte:02x}"
            ax.text(x, y, text, color="white", ha="center", va="center_baseline")
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(0.5 - height, 0.5))
    ax.figure.legend(loc="outside upper center", ncols=len(parts), handlelength=1,
                     columnspacing=1.2)
    return ax.set_axis_off() or ax


def draw_spans(rows: dict, # {name: [(begin, end, text), ...]}, from the top
               marks: dict, # {place on the time axis: what happens there}
               empty: str="nothing"): # a span of this text has no bar
    "Draw what is there from when to when, a bar a span; the same text has the same color."
    import matplotlib.pyplot as plt
    texts = dict.fromkeys(text for spans in rows.values() for *_, text in spans if text != empty)
    colors = dict(zip(texts, PART_COLORS))
    ax = plt.subplots(figsize=(7.4, 0.7 * len(rows) + 1.3))[1]
    for y, spans in enumerate(rows.values()):
        for begin, end, text in spans:
            if text in colors: ax.barh(y, end - begin, 0.7, left=begin, color=colors[text])
            ink = {"color": "white"} if text in colors else {}
            ax.text((begin + end) / 2, y, text, ha="center", va="center", **ink)
    for x in marks: ax.axvline(x, ls=":", color="0.5")
    ax.set(yticks=range(len(rows)), yticklabels=list(rows),
           xticks=list(marks), xticklabels=list(marks.values()))
    ax.set_xlabel("time", loc="right")
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax
