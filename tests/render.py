"A page of the site as far as it can be rendered without Quarto: for what a browser measures."

import html, re

import mistune

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>page</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="styles.css">
<style>body {{ margin: 8px; font: 17px/1.5 sans-serif }} main {{ max-width: 750px; margin: auto }}
.quarto-dark {{ background: #222; color: #fff }}</style>
<body class="quarto-light"><script>
const scheme = localStorage.getItem("quarto-color-scheme")
if (scheme === "alternate") document.body.className = "quarto-dark"
</script><main>{}</main>"""
MARKDOWN = mistune.create_markdown(escape=False, plugins=["table"])


def prose(text):
    "Markdown with Quarto's boxes; formulas stand for themselves, as code."
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", lambda m: f"`{m[0][:20]}`", text, flags=re.S)
    text = re.sub(r"\{(#|\.)[^}]*\}", "", text)
    closed = r'<details class="callout"><summary>\1</summary>'
    text = re.sub(r"^:{3,} \{?\.?callout.*\n## (.*)", closed, text, flags=re.M)
    return MARKDOWN(re.sub(r"^:{3,}.*$", "", text, flags=re.M))


def output(out, alt):
    "What a cell left, as Quarto wraps it."
    data = {kind: "".join(value) for kind, value in out.get("data", {}).items()}
    if "application/vnd.jupyter.widget-view+json" in data:
        body = '<div class="widget-dead"></div>'
    elif "text/html" in data:
        body = data["text/html"]
    elif "image/png" in data:
        body = f'<figure><img alt="{alt}" src="data:image/png;base64,{data["image/png"]}"></figure>'
    elif "text/markdown" in data:
        body = MARKDOWN(data["text/markdown"])
    else:
        text = "".join(out.get("text", "")) or data.get("text/plain", "")
        body = f"<pre><code>{html.escape(text)}</code></pre>"
    return f'<div class="cell-output cell-output-display">{body}</div>'


def code(cell):
    "A code cell: its source, folded where it says so, and its outputs."
    about = cell.directives
    source = "\n".join(line for line in cell.source.splitlines() if line[:2] != "#|")
    block = f'<div class="sourceCode"><pre><code>{html.escape(source)}</code></pre></div>'
    if "code-fold" in about:
        block = f"<details><summary>{about.get('code-summary')}</summary>{block}</details>"
    if about.get("echo") == "false":
        block = ""
    shown = [] if about.get("output") == "false" else cell.outputs
    outputs = "".join(output(out, html.escape(about.get("fig-alt", ""))) for out in shown)
    return f'<div class="cell {about.get("classes", "")}">{block}{outputs}</div>'


def page(cells):
    "The HTML of a notebook as nbdev hands it to Quarto; boxes that span cells are left open."
    parts = [code(c) if c.kind == "code" else prose(c.source) for c in cells if c.kind != "raw"]
    return PAGE.format("".join(parts))
