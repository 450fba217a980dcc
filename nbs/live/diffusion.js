// The mathematics of the live pages, as in the Python of this course: schedules, spacings, the
// exact prediction for a Gaussian mixture, samplers, and the random numbers of torch on a CPU.
// Tests hold each against the package. Points lie in one array, x and y in turn.
const Diffusion = (() => {
const T = 1000

// ---- schedules: alpha_bar[t + 1] for t = -1 (clean data) to T - 1 ----

function linspace(start, end, n) { // as torch does it: from both ends to the middle
  const step = (end - start) / (n - 1)
  const at = i => i < n >> 1 ? start + step * i : end - step * (n - 1 - i)
  return Array.from({length: n}, (_, i) => n === 1 ? start : at(i))
}

function fromBetas(betas) {
  const table = [1]
  for (const beta of betas) table.push(table.at(-1) * (1 - beta))
  return table
}

function fromCurve(f) { // f falls from 1; the steps between two of its values are clipped
  const curve = Array.from({length: T + 1}, (_, i) => f(i / T))
  return fromBetas(curve.slice(1).map((after, i) => Math.min(0.999, 1 - after / curve[i])))
}

const sigmoid = u => 1 / (1 + Math.exp(-u))
const SCHEDULES = {
  linear: () => fromBetas(linspace(1e-4, 0.02, T)),
  cosine: () => fromCurve(u => Math.cos((u + 0.008) / 1.008 * Math.PI / 2) ** 2),
  scaled_linear: () => fromBetas(linspace(0.00085 ** 0.5, 0.012 ** 0.5, T).map(r => r * r)),
  sigmoid: () => fromCurve(u => (sigmoid(3) - sigmoid(6 * u - 3)) / (sigmoid(3) - sigmoid(-3))),
}
const made = {}
const scheduleOf = name => made[name] ??= SCHEDULES[name]()
const sigmaOf = alphaBar => Math.sqrt((1 - alphaBar) / alphaBar)

// ---- which timesteps a sampler visits ----

const roundEven = u => { // halves go to the even neighbor, as in Python
  const r = Math.round(u)
  return r - u === 0.5 && r % 2 ? r - 1 : r
}

function distinct(rising, limit) { // one that repeats moves past its twin, none past the end
  let last = -1
  const moved = rising.map(t => last = Math.max(t, last + 1))
  return moved.map((t, i) => Math.min(t, limit - moved.length + i))
}

const falling = (n, f) => distinct(Array.from({length: n}, (_, i) => f(i)), T).reverse()
const even = n => n === 1 ? [1] : linspace(0, 1, n)
const SPACINGS = {
  trailing: n => Array.from({length: n}, (_, i) => roundEven(T - i * T / n) - 1),
  leading: n => falling(n, i => Math.floor(i * T / n)),
  linspace: n => falling(n, i => roundEven((T - 1) * even(n)[i])),
  quadratic: n => falling(n, i => roundEven((T - 1) * even(n)[i] ** 2)),
  karras: (n, table) => { // even in sigma^(1/7), each moved to the nearest level of the schedule
    const levels = table.slice(1).map(sigmaOf)
    const ends = [Math.min(80, levels.at(-1)), Math.max(0.002, levels[0])].map(s => s ** (1 / 7))
    const wanted = linspace(0, 1, n).map(u => (ends[0] + u * (ends[1] - ends[0])) ** 7)
    const nearest = sigma => levels.reduce((best, level, t) =>
      Math.abs(level - sigma) < Math.abs(levels[best] - sigma) ? t : best, 0)
    return falling(n, i => nearest(wanted[n - 1 - i]))
  },
}
const spacedTimesteps = (spacing, steps, table) => SPACINGS[spacing](steps, table)

// ---- the exact prediction for a mixture of means [[x, y], ...] and standard deviations ----

// A time of the chain, with the components as they are under its noise
function timeOf({means, stds}, t, alphaBar) {
  const signal = Math.sqrt(alphaBar), noise = Math.sqrt(1 - alphaBar)
  const parts = means.map(([x, y], k) => {
    const variance = (signal * stds[k]) ** 2 + noise ** 2
    return {x, y, variance, pull: signal * stds[k] ** 2 / variance, log: -Math.log(variance)}
  })
  return {t, alphaBar, signal, noise, parts, sigma: noise / signal}
}

const logs = new Float64Array(256)
function weigh({parts, signal}, x, y, from, to) { // logs of densities, up to a constant
  let most = -Infinity
  for (let k = from; k < to; k++) {
    const part = parts[k], dx = x - signal * part.x, dy = y - signal * part.y
    logs[k] = part.log - 0.5 * (dx * dx + dy * dy) / part.variance
    if (logs[k] > most) most = logs[k]
  }
  return most
}

// E[x_0 | x_t] over the components from..to-1, into out
function predictPart(time, x, y, from, to, out) {
  const most = weigh(time, x, y, from, to), signal = time.signal
  let total = 0, sumX = 0, sumY = 0
  for (let k = from; k < to; k++) {
    const part = time.parts[k], r = Math.exp(logs[k] - most)
    total += r
    sumX += r * (part.x + part.pull * (x - signal * part.x))
    sumY += r * (part.y + part.pull * (y - signal * part.y))
  }
  out[0] = sumX / total
  out[1] = sumY / total
}

const free = [0, 0]
// Guided to component `label` (Ho & Salimans 2022, eq. 6: scale = 1 + w)
function predict({label, scale, interval}, time, x, y, out) {
  const all = time.parts.length
  if (label === null) return predictPart(time, x, y, 0, all, out)
  predictPart(time, x, y, label, label + 1, out)
  if (scale === 1 || time.t < interval[0] || time.t > interval[1]) return
  predictPart(time, x, y, 0, all, free)
  for (let d = 0; d < 2; d++) out[d] = free[d] + scale * (out[d] - free[d])
}

function density(time, x, y) { // of noised data
  const most = weigh(time, x, y, 0, time.parts.length)
  let sum = 0
  for (let k = 0; k < time.parts.length; k++) sum += Math.exp(logs[k] - most)
  return sum * Math.exp(most) / (2 * Math.PI * time.parts.length)
}

function likeliest(time, x, y) { // the component that a point most probably comes from
  const most = weigh(time, x, y, 0, time.parts.length)
  return logs.indexOf(most)
}

// ---- samplers: what a step from one time to the next makes of a point p; z is its noise ----

const x0 = [0, 0], x1 = [0, 0], x = [0, 0]

function ddim(choice, p, from, to, z) { // Song et al. 2021, eq. 12 and 16
  const a = from.alphaBar, b = to.alphaBar
  predict(choice, from, p[0], p[1], x0)
  const sigma = choice.eta * Math.sqrt((1 - b) / (1 - a) * (1 - a / b))
  const onX = Math.sqrt(Math.max(0, 1 - b - sigma ** 2) / (1 - a))
  const onX0 = Math.sqrt(b) - onX * Math.sqrt(a)
  for (let d = 0; d < 2; d++) p[d] = onX0 * x0[d] + onX * p[d] + sigma * z[d]
}

function ddpm(choice, p, from, to, z) { // Ho et al. 2020, eq. 7, for any earlier timestep
  const a = from.alphaBar, b = to.alphaBar
  predict(choice, from, p[0], p[1], x0)
  const onX0 = Math.sqrt(b) * (1 - a / b) / (1 - a)
  const onX = Math.sqrt(a / b) * (1 - b) / (1 - a)
  const spread = Math.sqrt((1 - a / b) * (1 - b) / (1 - a)) // 0 at the last step
  for (let d = 0; d < 2; d++) p[d] = onX0 * x0[d] + onX * p[d] + spread * z[d]
}

// Karras et al. 2022, algorithm 1, solve in sigma, on x_t / sqrt(alpha_bar_t)
function euler(choice, p, from, to) {
  predict(choice, from, p[0], p[1], x0)
  for (let d = 0; d < 2; d++) {
    x[d] = p[d] / from.signal
    p[d] = to.signal * (x0[d] + (x[d] - x0[d]) * to.sigma / from.sigma)
  }
}

function heun(choice, p, from, to) {
  euler(choice, p, from, to)
  if (to.sigma === 0) return
  predict(choice, to, p[0], p[1], x1)
  for (let d = 0; d < 2; d++) {
    const slopes = (x[d] - x0[d]) / from.sigma + (p[d] / to.signal - x1[d]) / to.sigma
    p[d] = to.signal * (x[d] + (to.sigma - from.sigma) / 2 * slopes)
  }
}

const SAMPLERS = {DDPM: ddpm, DDIM: ddim, Euler: euler, Heun: heun}
const SOLVERS = ["Euler", "Heun"]
const isRandom = choice => choice.sampler === "DDPM" || choice.sampler === "DDIM" && choice.eta > 0

// The times that a choice visits, from noise to clean data
function timesOf(choice) {
  const table = scheduleOf(choice.schedule)
  const timesteps = spacedTimesteps(choice.spacing, choice.steps, table)
  return [...timesteps, -1].map(t => timeOf(choice, t, table[t + 1]))
}

// By how much normal numbers are scaled at the first time: solvers in sigma begin with sigma x_T
const startScale = (choice, times) => SOLVERS.includes(choice.sampler) ? times[0].noise : 1

// The walks of points first..last-1: states[(step * n + point) * 2], which begin with noise, and
// the noise of the steps, which is laid out alike
function walk(choice, times, states, noise, first, last) {
  const step = SAMPLERS[choice.sampler], n = states.length / times.length / 2
  const p = [0, 0], z = [0, 0]
  for (let i = first; i < last; i++) {
    p[0] = states[2 * i]
    p[1] = states[2 * i + 1]
    for (let k = 0; k + 1 < times.length; k++) {
      const at = 2 * (k * n + i)
      if (noise) { z[0] = noise[at]; z[1] = noise[at + 1] }
      step(choice, p, times[k], times[k + 1], z)
      states[at + 2 * n] = p[0]
      states[at + 2 * n + 1] = p[1]
    }
  }
}

// How often the network of one point is asked, guided steps twice
function evaluations(choice, times) {
  const guided = ({t}) => choice.label !== null && ![0, 1].includes(choice.scale) &&
    t >= choice.interval[0] && t <= choice.interval[1] ? 2 : 1
  const asked = times.slice(0, -1)
  const again = choice.sampler === "Heun" ? asked.slice(1) : []
  return [...asked, ...again].reduce((sum, time) => sum + guided(time), 0)
}

// ---- the random numbers of torch.Generator().manual_seed(seed) on a CPU ----

class Generator {
  constructor(seed) { // Matsumoto & Nishimura's mt19937
    const mt = this.state = new Uint32Array(624)
    mt[0] = seed
    for (let i = 1; i < 624; i++) mt[i] = Math.imul(1812433253, mt[i - 1] ^ mt[i - 1] >>> 30) + i
    this.next = 0
  }

  bits() { // 32 of them; each word is made anew when it is needed
    const mt = this.state, i = this.next
    const y = mt[i] & 0x80000000 | mt[(i + 1) % 624] & 0x7fffffff
    mt[i] = mt[(i + 397) % 624] ^ y >>> 1 ^ (y & 1 ? 0x9908b0df : 0)
    this.next = (i + 1) % 624
    let z = mt[i]
    z ^= z >>> 11
    z ^= z << 7 & 0x9d2c5680
    z ^= z << 15 & 0xefc60000
    return (z ^ z >>> 18) >>> 0
  }

  uniform() { return (this.bits() & 0xffffff) / 2 ** 24 } // float32
  precise() { return (this.bits() % 2 ** 21 * 2 ** 32 + this.bits()) / 2 ** 53 } // float64

  randn(n) { // as torch.randn(n): up to 15 numbers in pairs, more in blocks of 16
    const z = Float32Array.from({length: n}, () => n < 16 ? 0 : this.uniform())
    if (n < 16) for (let i = 0; i < n; i += 2) {
      const u = this.precise(), r = Math.sqrt(-2 * Math.log1p(-this.precise()))
      z[i] = r * Math.cos(2 * Math.PI * u)
      if (i + 1 < n) z[i + 1] = r * Math.sin(2 * Math.PI * u)
    }
    else for (let i = 0; i + 16 <= n; i += 16) for (let j = i; j < i + 8; j++) {
      const r = Math.sqrt(-2 * Math.log(1 - z[j])), u = z[j + 8]
      z[j] = r * Math.cos(2 * Math.PI * u)
      z[j + 8] = r * Math.sin(2 * Math.PI * u)
    }
    return z
  }
}

// Noise of image i of a run's seed, as samplers draw it: x_T, then 16 steps at a time
function imageNoise(seed, i, size, steps) {
  const stream = new Generator(seed * 2 ** 16 + i), x_T = stream.randn(size)
  const noise = new Float32Array(Math.ceil(steps / 16) * 16 * size)
  for (let at = 0; at < noise.length; at += 16 * size) noise.set(stream.randn(16 * size), at)
  return {x_T, noise}
}

// ---- the same choice in Python ----

function pythonOf(choice) {
  const {means, stds, schedule, sampler, spacing, steps, label, seed, n} = choice
  const solves = SOLVERS.includes(sampler)
  const call = sampler.toLowerCase() + "_sample"
  const list = `spaced_timesteps(${T}, ${steps}, "${spacing}")`
  const options = [`(${n}, 2, 1, 1)`]
  if (solves && spacing !== "karras") options.push(`sigmas=model.sigmas[${list}]`)
  else if (sampler === "DDPM" && spacing !== "trailing") options.push(`timesteps=${list}`)
  else options.push(`steps=${steps}`)
  if (sampler === "DDIM") options.push(`eta=${choice.eta}`, `spacing="${spacing}"`)
  options.push(...solves ? [] : ["clip=None"], `seed=${seed}`)
  const first = ["linear", "cosine"].includes(schedule)
  const wrapped = label === null ? "data.model(schedule)" :
    `cfg(LabeledMixture(data, schedule), ${label}, ${choice.scale},\n            ` +
    `interval=(${choice.interval.join(", ")}))`
  const imports = [
    options.join().includes("spaced_timesteps") && "from ddpm_course.ddim import spaced_timesteps",
    "from ddpm_course.exact import GaussianMixture",
    label !== null && "from ddpm_course.guidance import LabeledMixture, cfg",
    first && `from ddpm_course.noising import ${schedule}_schedule`,
    `from ddpm_course.sampling import ${solves ? "as_denoiser, " : ""}${call}`,
    !first && `from ddpm_course.schedules import ${schedule}_schedule`,
  ]
  return [...imports.filter(Boolean), "",
    `data = GaussianMixture(means=${JSON.stringify(means).replaceAll(",", ", ")},`,
    `                       stds=${JSON.stringify(stds).replaceAll(",", ", ")})`,
    `schedule = ${schedule}_schedule(${T})`,
    `model = ${wrapped}`,
    ...solves ? ["model = as_denoiser(model, schedule)"] : [],
    `points = ${call}(model, ${solves ? "" : "schedule, "}${options.join(", ")})`].join("\n")
}

return {T, SCHEDULES, SPACINGS, SAMPLERS, SOLVERS, scheduleOf, spacedTimesteps, timeOf, timesOf,
  startScale, walk, density, likeliest, isRandom, evaluations, imageNoise, pythonOf}
})()
if (typeof module !== "undefined") module.exports = Diffusion
