// The plane: points flow between noise and a mixture of Gaussians whose score is a formula.
// <div class="plane"></div> becomes the whole of it, <div class="plane hero"></div> a small one.
(() => {
const {make, slider, stops, select, whole, check, button, group} = Controls
const {Walks, DATA, START, dataOf, round} = Walking
const {Picture, ruler} = Drawing
const D = Diffusion
const HALF = 2.7, HERO = 2.1 // of the height, in standard deviations of the noise
const BUDGET = 9 // ms of a frame for walking points
const SECONDS = 4, PAUSE = 2 // of a walk, and before it begins again
const STEPS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200, 300, 500,
  1000]
const MOST = 64 // components

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
    this.picture = new Picture(this.canvas, this.hero ? HERO : HALF)
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

  grasped(event, finger) { // "pen", a component, or -1; on the landing page a finger scrolls
    if (this.drawing) return "pen"
    return this.hero && finger ? -1 : this.under(this.picture.fromScreen(event))
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
      this.held = this.grasped(event, event.pointerType === "touch")
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
      if (this.grasped(event.touches[0], true) !== -1) event.preventDefault()
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
