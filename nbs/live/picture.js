// What is drawn of walks: density, components, points, paths, and the ruler of timesteps.
const Drawing = (() => {
const D = Diffusion
const PATHS = 24
const COLORS = { // of components in turn, on light and on dark ground
  light: "#0072b2 #d55e00 #009e73 #b8508c #8a6d00 #3a4fb8 #a63d40 #4d7c0f".split(" "),
  dark: "#56b4e9 #ff9e5e #3ddbaa #f29ccf #f0e442 #a5b4ff #ff8a8d #b5e06b".split(" ")}

const shade = (k, K) => K > 8 ? Math.floor(8 * k / K) : k // neighbors of many share a color

class Picture {
  constructor(canvas, half = 1) {
    this.half = half
    this.canvas = canvas
    this.context = canvas.getContext("2d")
    this.haze = Controls.make("canvas", {width: 72, height: 72})
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

return {Picture, ruler}
})()
