// The plane: points flow between noise and a mixture of Gaussians whose score is a formula.
// <div class="plane"></div> becomes the whole of it, <div class="plane hero"></div> a small one.
(() => {
const {make, slider, stops, select, whole, check, button, group} = Controls
const D = Diffusion
const POINTS = 2000, PATHS = 24
const HALF = 2.7 // of the height, in standard deviations of the noise
const BUDGET = 9 // ms of a frame for walking points
const SECONDS = 4, PAUSE = 2 // of a walk, and before it begins again
const COLORS = { // of components in turn, on light and on dark ground
  light: "#0072b2 #d55e00 #009e73 #b8508c #8a6d00 #3a4fb8 #a63d40 #4d7c0f".split(" "),
  dark: "#56b4e9 #ff9e5e #3ddbaa #f29ccf #f0e442 #a5b4ff #ff8a8d #b5e06b".split(" ")}
const STEPS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200, 300, 500,
  1000]
const MOST = 64 // components

// ---- data ----

const round = x => Math.round(100 * x) / 100
const row = (n, f) => Array.from({length: n}, (_, i) => f(n > 1 ? i / (n - 1) : 0))
const line = ([a, b], [c, d], n) => row(n, u => [a + (c - a) * u, b + (d - b) * u])
const polar = (r, angle) => [r * Math.cos(angle), r * Math.sin(angle)]
const arc = (x, y, r, from, to, n, wide = 1) => row(n, u => polar(r, from + (to - from) * u))
  .map(([dx, dy]) => [x + wide * dx, y + dy])

function word() { // DDPM
  const bar = x => line([x, -.6], [x, .6], 6), turn = Math.PI / 2
  const D = x => [...bar(x), ...arc(x + .15, 0, .6, turn, -turn, 7, 1.1)]
  return [...D(-2.3), ...D(-1.1), ...bar(.1), ...arc(.25, .28, .32, turn, -turn, 5, 1.3),
    ...bar(1.15), ...bar(2.25), ...line([1.34, .38], [1.7, -.12], 3),
    ...line([1.88, .13], [2.06, .38], 2)]
}

const DATA = { // name, means, one standard deviation or one each
  clusters: ["three clusters", [[-1.2, .5], [1, 1], [.4, -1.3]], [.25, .4, .15]],
  ring: ["a ring", arc(0, 0, 1.5, 0, 7 / 4 * Math.PI, 8), .13],
  moons: ["two moons", [...arc(-.45, -.2, 1, Math.PI, 0, 9), ...arc(.45, .2, 1, -Math.PI, 0, 9)],
    .11],
  spiral: ["a spiral", row(22, u => polar(.3 + 1.5 * u, 10 * u)), .09],
  grid: ["a grid", row(3, u => row(3, v => [2.6 * u - 1.3, 2.6 * v - 1.3])).flat(), .12],
  word: ["a word", word(), .08],
}

function dataOf(name) {
  const [, means, stds] = DATA[name]
  return {data: name, means: means.map(mean => mean.map(round)),
    stds: means.map((_, k) => stds[k] ?? stds)}
}

const START = {...dataOf("clusters"), schedule: "cosine", sampler: "DDIM", eta: 0,
  spacing: "trailing", steps: 20, label: null, scale: 3, interval: [0, 999], seed: 0, n: POINTS}

// ---- the model of a plane: a choice, and the walks that follow from it ----

class Walks {
  constructor(choice) { this.set(choice) }

  set(change) {
    const {means} = this.choice = {...this.choice, ...change}
    if (!D.SOLVERS.includes(this.choice.sampler) && this.choice.spacing === "karras")
      this.choice.spacing = "trailing"
    if (this.choice.label >= means.length) this.choice.label = null
    this.times = D.timesOf(this.choice)
    this.scale = D.startScale(this.choice, this.times)
    this.random = D.isRandom(this.choice)
    const {n, seed, steps} = this.choice, key = [n, seed, steps, this.random].join()
    if (key !== this.key) {
      this.key = key
      this.x_T = new Float64Array(2 * n)
      this.noise = new Float32Array(this.random ? 2 * n * steps : 0)
      this.states = new Float64Array(2 * n * (steps + 1))
      this.home = new Uint8Array(n) // the component at which a point lands
      this.drawn = 0 // how many points have their noise, and so some walk
    }
    this.done = 0 // how many have walked by this choice
  }

  // Points do not see one another: each frame walks as many as it has time for
  go(until) {
    const {choice, times, states} = this, {n} = choice
    while (this.done < n && performance.now() < until) {
      const last = Math.min(n, this.done + 50)
      for (; this.drawn < last; this.drawn++) this.draw(this.drawn)
      for (let i = 2 * this.done; i < 2 * last; i++) states[i] = this.x_T[i] * this.scale
      D.walk(choice, times, states, this.random && this.noise, this.done, last)
      for (let i = this.done; i < last; i++)
        this.home[i] = D.likeliest(times.at(-1), ...this.at(i, choice.steps))
      this.done = last
    }
    return this.done === n
  }

  draw(i) {
    const {seed, steps, n} = this.choice
    const {x_T, noise} = D.imageNoise(seed, i, 2, this.random ? steps : 0)
    this.x_T.set(x_T, 2 * i)
    for (let k = 0; this.random && k < steps; k++)
      this.noise.set(noise.subarray(2 * k, 2 * k + 2), 2 * (k * n + i))
  }

  at(i, step) { // where point i is after some steps
    const at = 2 * (step * this.choice.n + i)
    return [this.states[at], this.states[at + 1]]
  }

  shares() { // of the points that land at each component
    const counts = this.choice.means.map(() => 0)
    for (const k of this.home) counts[k] += 1 / this.choice.n
    return counts
  }
}

// ---- what is drawn ----

const shade = (k, K) => K > 8 ? Math.floor(8 * k / K) : k // neighbors of many share a color

class Picture {
  constructor(canvas, half = HALF) {
    this.half = half
    this.canvas = canvas
    this.context = canvas.getContext("2d")
    this.haze = make("canvas", {width: 72, height: 72})
  }

  fit() { // as many pixels as the screen has there
    const box = this.canvas.getBoundingClientRect(), dots = Math.min(2, devicePixelRatio)
    const pixels = side => Math.max(1, Math.round(side * dots))
    const width = pixels(box.width), height = pixels(box.height)
    if (this.canvas.width !== width || this.canvas.height !== height)
      Object.assign(this.canvas, {width, height})
    this.dot = dots
    this.unit = height / (2 * this.half) // pixels a standard deviation of noise
    this.colors = COLORS[Controls.isDark() ? "dark" : "light"]
    this.ink = Controls.isDark() ? "#e8edf4" : "#1c2733"
  }

  x(x) { return this.canvas.width / 2 + x * this.unit }
  y(y) { return this.canvas.height / 2 - y * this.unit }
  color(k, K) { return this.colors[shade(k, K)] }

  fromScreen(event) { // the point of the plane under a pointer
    const box = this.canvas.getBoundingClientRect(), unit = box.height / (2 * this.half)
    return [(event.clientX - box.left - box.width / 2) / unit,
      (box.top + box.height / 2 - event.clientY) / unit]
  }

  density(time) {
    const {haze, canvas, context} = this, side = haze.width
    const image = new ImageData(side, side), width = canvas.width / this.unit
    const p = new Float64Array(side * side)
    let most = 0
    for (let j = 0; j < side; j++) for (let i = 0; i < side; i++) {
      const x = ((i + .5) / side - .5) * width, y = (.5 - (j + .5) / side) * 2 * this.half
      p[j * side + i] = D.density(time, x, y)
      most = Math.max(most, p[j * side + i])
    }
    const [r, g, b, a] = Controls.isDark() ? [96, 150, 255, 150] : [70, 120, 210, 120]
    for (let i = 0; i < p.length; i++) image.data.set([r, g, b, a * (p[i] / most) ** .5], 4 * i)
    haze.getContext("2d").putImageData(image, 0, 0)
    context.imageSmoothingQuality = "high"
    context.drawImage(haze, 0, 0, canvas.width, canvas.height)
  }

  // `at` writes where a point is into a pair; one color is drawn after the other
  points(walks, size, alpha, at) {
    const {context} = this, side = size * this.dot, p = [0, 0], K = walks.choice.means.length
    context.globalAlpha = alpha
    this.colors.forEach((color, c) => {
      context.fillStyle = color
      for (let i = 0; i < walks.drawn; i++) if (shade(walks.home[i], K) === c) {
        at(i, p)
        context.fillRect(this.x(p[0]) - side / 2, this.y(p[1]) - side / 2, side, side)
      }
    })
    context.globalAlpha = 1
  }

  paths(walks) { // with a dot where each step lands
    const {context, dot} = this, {steps, means} = walks.choice
    for (let i = 0; i < Math.min(PATHS, walks.drawn); i++) {
      context.strokeStyle = context.fillStyle = this.color(walks.home[i], means.length)
      context.lineWidth = 1.1 * dot
      context.globalAlpha = .75
      context.beginPath()
      const states = Array.from({length: steps + 1}, (_, k) => walks.at(i, k))
      for (const [x, y] of states) context.lineTo(this.x(x), this.y(y))
      context.stroke()
      context.globalAlpha = 1
      if (steps <= 100) for (const [x, y] of states) this.disk(x, y, 1.9)
    }
    context.globalAlpha = 1
  }

  disk(x, y, r, stroke = false) {
    this.context.beginPath()
    this.context.arc(this.x(x), this.y(y), r * this.dot, 0, 2 * Math.PI)
    stroke ? this.context.stroke() : this.context.fill()
  }

  components({means, stds, label}, selected) {
    const {context, dot, unit} = this
    means.forEach(([x, y], k) => {
      context.strokeStyle = this.color(k, means.length)
      context.lineWidth = (k === label ? 3 : 1.5) * dot
      context.setLineDash(k === selected ? [5 * dot, 4 * dot] : [])
      this.disk(x, y, Math.max(6, 2 * stds[k] * unit / dot), true)
    })
    context.setLineDash([])
  }

  show(walks, place, layers, selected) {
    const {context, canvas} = this, {times} = walks
    const before = Math.min(Math.floor(place), times.length - 2), u = place - before
    context.clearRect(0, 0, canvas.width, canvas.height)
    const mix = (a, b) => a + u * (b - a)
    const alphaBar = mix(times[before].alphaBar, times[before + 1].alphaBar)
    if (layers.density) this.density(D.timeOf(walks.choice, null, alphaBar))
    if (layers.components) this.components(walks.choice, selected)
    const {states, choice} = walks, low = 2 * before * choice.n, high = low + 2 * choice.n
    const end = 2 * choice.steps * choice.n
    if (layers.landings) this.points(walks, 1.6, .4, (i, p) => {
      p[0] = states[end + 2 * i]
      p[1] = states[end + 2 * i + 1]
    })
    this.points(walks, 2.2, .85, (i, p) => {
      for (let d = 2 * i; d < 2 * i + 2; d++)
        p[d - 2 * i] = mix(states[low + d], states[high + d])
    })
    if (layers.paths) this.paths(walks)
  }
}

// The signal that is left, from noise at the left to data at the right, and where the steps are
function ruler(picture, walks, place) {
  picture.fit()
  const {canvas, context, dot} = picture, {times, choice} = walks
  const table = D.scheduleOf(choice.schedule), pad = 8 * dot
  const x = t => pad + (canvas.width - 2 * pad) * (1 - (t + 1) / D.T)
  const y = alphaBar => canvas.height - pad - (canvas.height - 2 * pad) * Math.sqrt(alphaBar)
  context.clearRect(0, 0, canvas.width, canvas.height)
  if (choice.label !== null) {
    context.fillStyle = picture.color(choice.label, choice.means.length)
    context.globalAlpha = .2
    const [low, high] = choice.interval
    context.fillRect(x(high), 0, x(low) - x(high), canvas.height)
    context.globalAlpha = 1
  }
  context.strokeStyle = context.fillStyle = picture.ink
  context.lineWidth = 1.5 * dot
  context.beginPath()
  for (let t = D.T - 1; t >= -1; t -= 4) context.lineTo(x(t), y(table[t + 1]))
  context.stroke()
  for (const {t, alphaBar} of times) {
    context.globalAlpha = .35
    context.fillRect(x(t) - dot / 2, y(alphaBar), dot, canvas.height - y(alphaBar))
    context.globalAlpha = 1
    if (times.length < 120) {
      context.beginPath()
      context.arc(x(t), y(alphaBar), 2.2 * dot, 0, 2 * Math.PI)
      context.fill()
    }
  }
  const before = Math.min(Math.floor(place), times.length - 2), u = place - before
  const now = x(times[before].t) + u * (x(times[before + 1].t) - x(times[before].t))
  context.fillStyle = picture.colors[1]
  context.fillRect(now - dot, 0, 2 * dot, canvas.height)
}

// ---- a plane on a page ----

class Plane {
  constructor(root) {
    this.root = root
    this.hero = root.classList.contains("hero")
    this.walks = new Walks({...START, ...this.hero ? {...dataOf("word"), steps: 30} : {}})
    this.layers = {density: true, paths: !this.hero, landings: false, components: !this.hero}
    this.selected = 0
    this.playing = !Controls.still()
    this.place = this.playing ? 0 : this.choice.steps // in steps: 2.5 is between two states
    this.canvas = make("canvas", {tabindex: 0, role: "application", "aria-label":
      "The plane: arrow keys move the chosen component, Page Up and Page Down choose another"})
    this.picture = new Picture(this.canvas, this.hero ? 2.1 : HALF)
    this.build()
    this.listen()
    this.set({})
    new ResizeObserver(() => this.wake()).observe(this.canvas)
    new IntersectionObserver(([at]) => { this.hidden = !at.isIntersecting; this.wake() })
      .observe(this.canvas)
    Controls.whenThemeChanges(() => this.wake())
  }

  get choice() { return this.walks.choice }

  set(change) {
    const before = this.choice.steps
    this.walks.set(change)
    this.place = Math.min(this.place * this.choice.steps / before, this.choice.steps)
    this.selected = Math.min(this.selected, this.choice.means.length - 1)
    this.told = false
    this.show()
    this.wake()
  }

  // ---- controls ----

  build() {
    const set = name => value => this.set({[name]: value})
    const layer = name => check(name, on => { this.layers[name] = on; this.wake() })
    const c = this.controls = {
      data: select("data", name => { this.drawing = false; this.set(dataOf(name)) }),
      component: select("component", k => { this.selected = +k; this.show(); this.wake() }),
      spread: slider("its spread", {min: .05, max: 1, step: .01, change: std => this.spread(std)}),
      schedule: select("schedule", set("schedule")),
      sampler: select("sampler", sampler => // each with the levels it has in the package
        this.set({sampler, spacing: D.SOLVERS.includes(sampler) ? "karras" : "trailing"})),
      eta: slider("eta", {min: 0, max: 1, step: .05, change: set("eta")}),
      spacing: select("spacing", set("spacing")),
      steps: stops("steps", STEPS, set("steps")),
      label: select("guide to", k => this.set({label: k === "" ? null : +k})),
      scale: slider("scale", {min: 0, max: 8, step: .25, change: set("scale")}),
      low: slider("from t", {min: 0, max: 999, change: low =>
        this.set({interval: [low, Math.max(low, this.choice.interval[1])]})}),
      high: slider("to t", {min: 0, max: 999, change: high =>
        this.set({interval: [Math.min(high, this.choice.interval[0]), high]})}),
      seed: whole("seed", 65535, set("seed")),
      density: layer("density"), paths: layer("paths"), landings: layer("landings"),
      components: layer("components"),
      time: slider("time", {min: 0, max: 1, step: .001, text: () => this.when(), change: u => {
        this.playing = false
        this.place = u * this.choice.steps
        this.show()
        this.wake()
      }}),
    }
    c.play = button("Play", () => this.play(!this.playing))
    c.draw = button("Draw", () => { this.drawing = this.fresh = !this.drawing; this.show() })
    c.add = button("Add", () => this.add([0, 0]))
    c.remove = button("Remove", () => this.remove())
    this.ruler = new Picture(make("canvas", {class: "ruler", role: "img", "aria-label":
      "The signal that is left at each timestep, and the timesteps that the sampler visits"}))
    this.code = make("code")
    const player = make("div", {class: "player"}, c.play, c.time.element)
    const stage = make("div", {class: "stage"}, this.canvas, player)
    const copy = button("Copy", () => navigator.clipboard.writeText(this.code.textContent))
    const python = make("details", {}, make("summary", {}, "This choice in Python"),
      make("pre", {}, this.code), copy)
    if (this.hero) {
      const some = [c.data, c.sampler, c.steps].map(control => control.element)
      return this.root.replaceChildren(stage, make("div", {class: "line"}, ...some, c.draw))
    }
    stage.append(this.ruler.canvas, this.message = make("output", {class: "told"}))
    this.root.replaceChildren(stage, make("div", {class: "panel"},
      group("Data", c.data, c.component, c.spread,
        make("div", {class: "line"}, c.draw, c.add, c.remove)),
      group("Sampler", c.schedule, c.sampler, c.eta, c.spacing, c.steps, c.seed),
      group("Guidance", c.label, c.scale, c.low, c.high),
      group("Show", make("div", {class: "line"}, ...["density", "components", "paths", "landings"]
        .map(name => c[name].element)))), python)
  }

  show() { // the choice, on all controls
    const {choice, controls: c} = this, {means} = choice
    const names = means.map((_, k) => [k, String(k + 1)]), alone = choice.label === null
    const presets = Object.entries(DATA).map(([key, [name]]) => [key, name])
    const own = DATA[choice.data] ? [] : [["own", "your own"]]
    const plain = object => Object.keys(object).map(name => [name, name.replace("_", " ")])
    c.data.show(choice.data, [...presets, ...own])
    c.component.show(this.selected, names)
    c.spread.show(choice.stds[this.selected])
    c.schedule.show(choice.schedule, plain(D.SCHEDULES))
    c.sampler.show(choice.sampler, plain(D.SAMPLERS))
    c.eta.show(choice.eta, choice.sampler !== "DDIM")
    c.spacing.show(choice.spacing, plain(D.SPACINGS), name =>
      name === "karras" && !D.SOLVERS.includes(choice.sampler))
    c.steps.show(choice.steps)
    c.label.show(choice.label ?? "", [["", "nothing"],
      ...names.map(([k, name]) => [k, "component " + name])])
    c.scale.show(choice.scale, alone)
    c.low.show(choice.interval[0], alone)
    c.high.show(choice.interval[1], alone)
    c.seed.show(choice.seed)
    for (const name in this.layers) c[name].show(this.layers[name])
    c.time.show(this.place / choice.steps)
    c.play.textContent = this.playing ? "Pause" : "Play"
    c.draw.textContent = this.drawing ? "Done" : "Draw"
    c.draw.setAttribute("aria-pressed", Boolean(this.drawing))
    c.add.disabled = means.length >= MOST
    c.remove.disabled = means.length < 2
    this.canvas.classList.toggle("drawing", Boolean(this.drawing))
    this.code.textContent = D.pythonOf(choice)
  }

  when() { // in words
    const step = Math.floor(this.place), {t} = this.walks.times[step]
    return t < 0 ? "clean data" : `step ${step} of ${this.choice.steps}, t = ${t}`
  }

  tell() { // what came of it, once all points have walked
    const {choice, walks} = this, shares = walks.shares().map(share => Math.round(100 * share))
    const asked = D.evaluations(choice, walks.times)
    const where = shares.length > 9 ? "" : ` Landed in component 1 to ${shares.length}: ` +
      `${shares.map(share => share + " %").join(", ")}.`
    if (this.message) this.message.textContent = "Evaluations of the model for each of " +
      `${choice.n} points: ${asked}.${where}`
    this.told = true
  }

  // ---- data: chosen, dragged, drawn ----

  edit(means, stds, more = {}) { this.set({data: "own", means, stds, ...more}) }

  spread(std) {
    this.edit(this.choice.means, this.choice.stds.map((old, k) => k === this.selected ? std : old))
  }

  move(k, point) {
    const near = point.map(v => round(Math.max(-HALF, Math.min(HALF, v))))
    this.edit(this.choice.means.map((mean, i) => i === k ? near : mean), this.choice.stds)
  }

  add(point, std = .2) {
    const {means, stds} = this.choice
    if (means.length >= MOST) return
    this.selected = means.length
    this.edit([...means, point.map(round)], [...stds, std])
  }

  remove() {
    const rest = list => list.filter((_, k) => k !== this.selected)
    const {means, stds} = this.choice
    if (means.length > 1) this.edit(rest(means), rest(stds), {label: null})
  }

  under(point) { // the component whose middle is near, or -1
    const far = this.choice.means.map(mean => Math.hypot(mean[0] - point[0], mean[1] - point[1]))
    const k = far.indexOf(Math.min(...far))
    return far[k] < Math.max(.2, 2 * this.choice.stds[k]) ? k : -1
  }

  stroke(point) { // the first of a drawing replaces the data
    const last = this.choice.means.at(-1)
    if (this.fresh) this.edit([point.map(round)], [.1], {label: null})
    else if (Math.hypot(last[0] - point[0], last[1] - point[1]) > .2) this.add(point, .1)
    this.fresh = false
  }

  listen() {
    const {canvas, picture} = this
    canvas.onpointerdown = event => {
      const point = picture.fromScreen(event)
      this.held = this.drawing ? "pen" : this.under(point)
      if (this.held === "pen") this.fresh ? this.stroke(point) : this.add(point, .1)
      else if (this.held >= 0) this.selected = this.held
      if (this.held !== -1) canvas.setPointerCapture(event.pointerId)
      this.show()
      this.wake()
    }
    canvas.onpointermove = event => {
      const point = picture.fromScreen(event)
      if (this.held === "pen") this.stroke(point)
      else if (this.held >= 0) this.move(this.held, point)
      else canvas.classList.toggle("over", !this.drawing && this.under(point) >= 0)
    }
    canvas.onpointerup = canvas.onpointercancel = () => { this.held = -1 }
    canvas.ondblclick = event => { if (!this.drawing) this.add(picture.fromScreen(event)) }
    canvas.addEventListener("touchstart", event => { // else a finger scrolls the page
      const held = this.under(picture.fromScreen(event.touches[0])) >= 0
      if (this.drawing || held) event.preventDefault()
    }, {passive: false})
    canvas.onkeydown = event => this.key(event)
  }

  key(event) {
    const by = {ArrowLeft: [-.05, 0], ArrowRight: [.05, 0], ArrowUp: [0, .05],
      ArrowDown: [0, -.05]}[event.key]
    const turn = {PageDown: 1, PageUp: -1}[event.key], {means} = this.choice
    if (by) this.move(this.selected, means[this.selected].map((v, d) => v + by[d]))
    else if (turn) this.selected = (this.selected + turn + means.length) % means.length
    else if (event.key === "Delete") this.remove()
    else return
    event.preventDefault()
    this.show()
    this.wake()
  }

  // ---- time ----

  play(on) {
    this.playing = on
    if (on && this.place >= this.choice.steps) this.place = 0
    this.show()
    this.wake()
  }

  wake() { this.pending ??= requestAnimationFrame(now => this.frame(now)) }

  frame(now) {
    this.pending = null
    if (this.hidden) return
    const start = performance.now(), {steps} = this.choice
    const past = Math.min(.1, (now - (this.last ?? now)) / 1000)
    this.last = this.playing ? now : null
    if (this.playing) this.advance(past, steps)
    const done = this.walks.go(start + BUDGET)
    if (done && !this.told) this.tell()
    this.picture.fit()
    this.picture.show(this.walks, this.place, this.layers, this.selected)
    if (!this.hero) ruler(this.ruler, this.walks, this.place)
    this.took = performance.now() - start // tests read it
    if (this.playing || !done) this.wake()
  }

  advance(past, steps) {
    if (this.place < steps) this.rest = PAUSE
    else if ((this.rest -= past) <= 0) this.place = 0
    this.place = Math.min(steps, this.place + past * steps / SECONDS)
    this.controls.time.show(this.place / steps)
  }
}

for (const root of document.querySelectorAll(".plane")) root.plane = new Plane(root)
for (const link of document.querySelectorAll("[data-plane]")) link.onclick = () => { // to try out
  const {plane} = document.querySelector(".plane")
  const {data = "clusters", ...more} = JSON.parse(link.dataset.plane)
  plane.set({...START, ...dataOf(data), ...more})
  plane.place = 0
  plane.play(!Controls.still())
}
})()
