// Data for the plane, and the walks of its points: a choice, and all that follows from it.
const Walking = (() => {
const D = Diffusion
const POINTS = 2000

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

return {Walks, DATA, START, dataOf, round}
})()
