// Networks of this course draw in the page, by onnxruntime-web.
// <div class="network" data-network="color"></div> becomes the controls of a network of NETWORKS;
// only its button fetches anything.
(() => {
const {make, slider, stops, select, whole, button, group} = Controls
const D = Diffusion
const RUNTIME = "https://cdn.jsdelivr.net/npm/onnxruntime-web@1.30.0/dist/" // of the package of npm
const SCRIPT = ["ort.wasm.bundle.min.mjs",
  "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG"]
const BINARY = ["ort-wasm-simd-threaded.wasm",
  "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM"]
const N = 10, NONE = 10 // images at a time; both networks know ten classes, and this is "none"
const SPACINGS = ["trailing", "leading", "linspace", "quadratic"]

const DIGITS = {
  files: ["live/digits.onnx"], shape: [1, 8, 8], predicts: "eps", scale: 2,
  asks: "digit", all: "0 to 9", images: "digits",
  ones: Array.from("0123456789", digit => `${digit}s`),
  python: {imports: "from ddpm_course.training import digits_model", network: "digits_model()"},
}
const COLOR = { // the graph, and the weights that it points to
  files: ["results/cifar10-cpu/graph.onnx", "results/cifar10-cpu/ema.safetensors"],
  shape: [3, 32, 32], predicts: "v", scale: 3,
  asks: "class", all: "one of each", images: "pictures",
  ones: "airplanes automobiles birds cats deer dogs frogs horses ships trucks".split(" "),
  python: {imports: "from ddpm_course.cifar import cifar_model", network: "cifar_model()"},
}
const NETWORKS = {digits: DIGITS, color: COLOR}
const sizeOf = ({shape}) => shape.reduce((a, b) => a * b)

// ---- the network ----

async function fetched(address, integrity) { // a file that is not the pinned one is refused
  const answer = await fetch(address, integrity ? {integrity} : {})
  if (!answer.ok) throw Error(`${address}: ${answer.status}`)
  return answer.arrayBuffer()
}

async function networkOf({files, shape}) {
  const wanted = [SCRIPT, BINARY].map(([name, integrity]) => [RUNTIME + name, integrity])
  const [script, binary, graph, weights] = await Promise.all(
    [...wanted, ...files.map(file => [file])].map(asked => fetched(...asked)))
  const address = URL.createObjectURL(new Blob([script], {type: "text/javascript"}))
  const ort = await import(address)
  Object.assign(ort.env.wasm, {numThreads: 1, proxy: true, wasmBinary: binary}) // in a worker
  const externalData = weights ? [{path: files[1].split("/").at(-1), data: weights}] : []
  const session = await ort.InferenceSession.create(graph,
    {executionProviders: ["wasm"], externalData})
  return async (x, t, labels) => { // its prediction for images x at timestep t
    const n = labels.length, {out} = await session.run({
      x_t: new ort.Tensor("float32", x.slice(), [n, ...shape]), // the worker takes what it gets
      t: new ort.Tensor("float32", new Float32Array(n).fill(t), [n]),
      y: new ort.Tensor("int64", BigInt64Array.from(labels, BigInt), [n])})
    return out.data
  }
}

async function guided(network, x, t, labels, scale) { // Ho & Salimans 2022, eq. 6: scale = 1 + w
  if (scale === 1) return network(x, t, labels)
  const twice = new Float32Array(2 * x.length)
  twice.set(x)
  twice.set(x, x.length)
  const out = await network(twice, t, [...labels, ...labels.map(() => NONE)])
  return x.map((_, i) => out[x.length + i] + scale * (out[i] - out[x.length + i]))
}

// ---- DDIM (Song et al. 2021, eq. 12), with the belief x0_hat clamped to pictures ----

const CLEAN = { // the image behind x = signal * image + noise * eps, by what is predicted
  eps: (eps, x, signal, noise) => (x - noise * eps) / signal,
  v: (v, x, signal, noise) => signal * x - noise * v,
}

async function* sample(network, about, {label, seed, steps, eta, spacing, scale}) {
  const labels = Array.from({length: N}, (_, i) => label === "all" ? i : +label)
  const size = sizeOf(about), clean = CLEAN[about.predicts]
  const streams = labels.map((_, i) => D.imageNoise(seed, i, size, eta > 0 ? steps : 0))
  const table = D.scheduleOf("cosine"), timesteps = D.spacedTimesteps(spacing, steps, table)
  let x = Float32Array.from(streams.flatMap(({x_T}) => [...x_T]))
  for (const [k, t] of timesteps.entries()) {
    const a = table[t + 1], b = table[(timesteps[k + 1] ?? -1) + 1]
    const out = await guided(network, x, t, labels, scale)
    const belief = x.map((v, i) =>
      Math.max(-1, Math.min(1, clean(out[i], v, Math.sqrt(a), Math.sqrt(1 - a)))))
    const sigma = eta * Math.sqrt((1 - b) / (1 - a) * (1 - a / b))
    const onX = Math.sqrt(Math.max(0, 1 - b - sigma ** 2) / (1 - a))
    const onBelief = Math.sqrt(b) - onX * Math.sqrt(a)
    const noise = i => sigma && sigma * streams[i / size | 0].noise[k * size + i % size]
    const before = x
    x = before.map((v, i) => onBelief * belief[i] + onX * v + noise(i))
    yield {t, before, belief, x}
  }
}

function pythonOf({python}, {label, seed, steps, eta, spacing, scale}) {
  const y = label === "all" ? "torch.arange(10)" : label
  return `${label === "all" ? "import torch\n" : ""}from ddpm_course.guidance import cfg
from ddpm_course.sampling import ddim_sample
${python.imports}

trained = ${python.network}
model = cfg(trained.model, ${y}, ${scale})
images = ddim_sample(model, trained.schedule, (10, *trained.shape), steps=${steps}, eta=${eta},
                     spacing="${spacing}", clip=trained.clip, seed=${seed})`
}

// ---- the page ----

function paint(canvas, pixels, [channels, height, width]) {
  const image = new ImageData(width, height), n = width * height
  const level = v => 255 * Math.max(0, Math.min(1, (v + 1) / 2))
  for (let i = 0; i < n; i++) {
    const [r, g = r, b = r] = Array.from({length: channels}, (_, c) => level(pixels[c * n + i]))
    image.data.set([r, g, b, 255], 4 * i)
  }
  canvas.getContext("2d").putImageData(image, 0, 0)
}

class Drawn {
  constructor(root, about) {
    this.root = root
    this.about = about
    this.choice = {label: "all", seed: 0, steps: 20, eta: 0, spacing: "trailing",
      scale: about.scale}
    this.states = []
    this.build()
    this.show()
  }

  build() {
    const set = name => value => this.set({[name]: value}), [, height, width] = this.about.shape
    const c = this.controls = {
      label: select(this.about.asks, set("label")), seed: whole("seed", 65535, set("seed")),
      steps: stops("steps", [1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 100, 200], set("steps")),
      spacing: select("spacing", set("spacing")),
      eta: slider("eta", {min: 0, max: 1, step: .05, change: set("eta")}),
      scale: slider("guidance", {min: 0, max: 8, step: .25, change: set("scale")}),
      time: slider("time", {min: 0, max: 0, text: k => this.when(k), change: k => this.paint(k)}),
    }
    this.go = button(`Load the network and draw ${this.about.images}`, () => this.start())
    this.message = make("output", {class: "told"}, "Nothing is loaded yet.")
    this.code = make("code")
    const images = what => Array.from({length: N}, (_, i) =>
      make("canvas", {width, height, role: "img", "aria-label": `${what} ${i + 1}`}))
    this.rows = {x: images("picture"), belief: images("what the network believes in picture")}
    const row = (text, canvases) => make("figure", {}, make("figcaption", {}, text),
      make("div", {class: "images"}, ...canvases))
    this.shown = make("div", {}, row("What the sampler holds", this.rows.x),
      row("What the network believes is behind the noise", this.rows.belief), c.time.element)
    this.root.replaceChildren(
      group(`Draw ${this.about.images}`, make("div", {class: "knobs"},
        ...["label", "seed", "steps", "spacing", "eta", "scale"].map(name => c[name].element))),
      make("div", {class: "line"}, this.go, this.message), this.shown,
      make("details", {}, make("summary", {}, "This choice in Python"),
        make("pre", {}, this.code)))
  }

  show() {
    const {about, choice, controls: c} = this
    const tens = about.ones.map((name, i) => [String(i), `ten ${name}`])
    c.label.show(choice.label, [["all", about.all], ...tens])
    c.spacing.show(choice.spacing, SPACINGS.map(name => [name, name]))
    for (const name of ["seed", "steps", "eta", "scale"]) c[name].show(choice[name])
    this.shown.hidden = !this.states.length
    c.time.input.max = this.states.length
    c.time.show(this.states.length)
    this.code.textContent = pythonOf(about, choice)
  }

  when(k) {
    if (!this.states.length) return ""
    return k < this.states.length ? `t = ${this.states[k].t}` : "done"
  }

  set(change) {
    this.choice = {...this.choice, ...change}
    this.code.textContent = pythonOf(this.about, this.choice)
    if (this.network) this.draw()
  }

  async start() {
    this.go.disabled = true
    this.message.textContent = "Loading ..."
    try { this.network ??= await networkOf(this.about) }
    catch (error) {
      this.go.disabled = false
      this.message.textContent = `The network could not be loaded (${error.message}); ` +
        "the film below shows what it draws."
      return
    }
    this.go.textContent = "Draw again"
    this.go.disabled = false
    await this.draw()
  }

  // A choice that comes while another is drawn takes its place
  async draw() {
    const turn = this.turn = (this.turn ?? 0) + 1, start = performance.now()
    this.states = []
    for await (const state of sample(this.network, this.about, this.choice)) {
      if (turn !== this.turn) return
      this.states.push(state)
      this.show()
      this.paint(this.states.length)
      this.message.textContent = `step ${this.states.length} of ${this.choice.steps}`
      await new Promise(done => requestAnimationFrame(done))
    }
    this.took = (performance.now() - start) / 1000
    const {steps, scale} = this.choice
    this.message.textContent = `${N} ${this.about.images}, ${steps} steps, ` +
      `${scale === 1 ? steps : 2 * steps} evaluations each, in ${this.took.toFixed(2)} s`
  }

  paint(k) { // the state at the k-th timestep, or the end
    if (!this.states.length) return // another walk has only begun
    const {before, belief, x} = this.states[Math.min(k, this.states.length - 1)]
    const held = k < this.states.length ? before : x, {shape} = this.about
    const size = sizeOf(this.about), part = (images, i) => images.subarray(i * size, (i + 1) * size)
    for (let i = 0; i < N; i++) {
      paint(this.rows.x[i], part(held, i), shape)
      paint(this.rows.belief[i], part(belief, i), shape)
    }
  }
}

for (const root of document.querySelectorAll(".network"))
  root.network = new Drawn(root, NETWORKS[root.dataset.network])
})()
