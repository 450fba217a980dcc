// Loads every page in a frame of two widths, light and dark, and posts what it measures.
const visible = e => e.checkVisibility() && e.getClientRects().length > 0
const height = e => e.getBoundingClientRect().height
const outermost = list => list.filter(e => !list.some(other => other !== e && other.contains(e)))
const total = list => outermost(list.filter(visible)).reduce((sum, e) => sum + height(e), 0)
const pause = ms => new Promise(done => setTimeout(done, ms))

async function load(frame, page, width, scheme) {
  localStorage.setItem("quarto-color-scheme", scheme)
  frame.style.width = width + "px"
  await new Promise(done => { frame.onload = done; frame.src = "/" + page + "?" + width + scheme })
  const math = frame.contentWindow.MathJax
  if (math && math.startup && math.startup.promise) await math.startup.promise
  await pause(150)
  return frame.contentDocument
}

function shares(doc) {
  const main = doc.querySelector("main")
  const all = selector => [...main.querySelectorAll(selector)]
  const outside = e => !e.closest(".cell, figure, .quarto-figure")
  const part = list => total(list) / Math.max(1, height(main))
  const figures = all("figure, .quarto-figure, .cell-output img, .cell-output svg")
  return {
    screens: doc.documentElement.scrollHeight / 900,
    prose: part(all("p, ul, ol").filter(outside)),
    figures: part(figures),
    code: part(all("div.sourceCode, pre.sourceCode")),
  }
}

function widest(doc, width) {
  const root = doc.documentElement
  const right = e => Math.round(e.getBoundingClientRect().right)
  const cut = [...doc.querySelectorAll("main figcaption, main caption")].find(e =>
    visible(e) && right(e) > width)
  if (cut) return `${right(cut)} px: ${cut.tagName} ${cut.textContent.trim().slice(0, 40)}`
  if (root.scrollWidth <= width) return null
  const wide = [...doc.querySelectorAll("main *")].filter(e =>
    e.getBoundingClientRect().right > width && ![...ancestors(e)].some(scrolls))
  const e = wide.at(-1)
  return `${root.scrollWidth} px: ${e ? e.tagName + " " + (e.textContent || e.alt || "").trim().slice(0, 40) : "?"}`
}

function* ancestors(e) { for (let p = e.parentElement; p; p = p.parentElement) yield p }
const scrolls = e => ["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX)

function rgba(text) {
  const [r, g, b, a = 1] = (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number)
  return [r, g, b, a]
}

function ground(e) {
  const layers = []
  for (let p = e; p; p = p.parentElement) {
    const color = rgba(getComputedStyle(p).backgroundColor)
    if (color[3] > 0) layers.push(color)
    if (color[3] === 1) break
  }
  return layers.reverse().reduce(over, [255, 255, 255])
}

const over = (below, [r, g, b, a]) => [r, g, b].map((c, i) => a * c + (1 - a) * below[i])

function luminance(color) {
  const [r, g, b] = color.map(c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
  return .2126 * r + .7152 * g + .0722 * b
}

function contrast(e) {
  const below = ground(e)
  const a = luminance(over(below, rgba(getComputedStyle(e).color)))
  const b = luminance(below)
  return (Math.max(a, b) + .05) / (Math.min(a, b) + .05)
}

function faint(doc) {
  const said = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())
  const texts = [...doc.querySelectorAll("body *")].filter(e => said(e) && visible(e)
    && !e.closest("script, style, mjx-container, svg"))
  const found = texts.map(e => [contrast(e), e]).filter(([c]) => c < 4.45)
  const words = ([c, e]) => `${c.toFixed(1)} ${e.tagName} "${e.textContent.trim().slice(0, 30)}"`
  return [...new Set(found.map(words))].slice(0, 5)
}

function named(e) {
  return (e.getAttribute("aria-label") || e.title || e.textContent.trim()
    || (e.labels && e.labels.length)) ? true : false
}

function dead(doc) {
  const all = selector => [...doc.querySelectorAll(selector)]
  return {
    widgets: all('script[type*="widget-view"], .widget-dead').length,
    nameless: all("main button, main input, main select").filter(e => !named(e)).length,
    noAlt: all("main img").filter(e => !e.hasAttribute("alt") || !e.alt.trim()).length,
  }
}

async function measure(pages) {
  const frame = document.body.appendChild(document.createElement("iframe"))
  frame.style.cssText = "height:900px;border:0"
  for (const page of pages) {
    let doc = await load(frame, page, 1400, "default")
    const found = { page, ...shares(doc), ...dead(doc), faint: faint(doc) }
    doc = await load(frame, page, 390, "default")
    found.wide = widest(doc, 390)
    doc = await load(frame, page, 1400, "alternate")
    found.faintDark = faint(doc)
    await fetch("/measured", { method: "POST", body: JSON.stringify(found) })
  }
  await fetch("/measured", { method: "POST", body: "null" })
}
