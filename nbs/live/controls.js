// Controls of the live pages: native inputs, each inside a label that names it.
const Controls = (() => {
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element[name] = value
    else if (value !== false && value !== null) element.setAttribute(name, value)
  }
  element.append(...children)
  return element
}

// A control is {element, show(value, off)}: `show` sets it without telling `change`.
function named(name, input, ...more) {
  input.setAttribute("aria-label", name) // else its value, which the label shows, would be in it
  const element = make("label", {class: "control"}, make("span", {}, name), ...more, input)
  return {element, input}
}

function slider(name, {min, max, step = 1, text = String, change}) {
  const input = make("input", {type: "range", min, max, step})
  const output = make("output")
  const label = value => {
    output.textContent = text(value)
    input.setAttribute("aria-valuetext", text(value))
  }
  input.oninput = () => { label(+input.value); change(+input.value) }
  const show = (value, off = false) => { input.value = value; input.disabled = off; label(value) }
  return {...named(name, input, output), show}
}

// A slider over a list of values
function stops(name, values, change) {
  const at = slider(name, {min: 0, max: values.length - 1, text: i => String(values[i]),
    change: i => change(values[i])})
  const nearest = value => values.reduce((best, v, i) =>
    Math.abs(v - value) < Math.abs(values[best] - value) ? i : best, 0)
  return {...at, show: (value, off) => at.show(nearest(value), off)}
}

// `options` are [value, text]; `off` says which of them cannot be chosen
function select(name, change) {
  const input = make("select", {onchange: () => change(input.value)})
  const show = (value, options, off = () => false) => {
    input.replaceChildren(...options.map(([v, text]) =>
      make("option", {value: v, disabled: off(v) && ""}, text)))
    input.value = value
  }
  return {...named(name, input), show}
}

function whole(name, max, change) {
  const input = make("input", {type: "number", min: 0, max, step: 1, inputmode: "numeric"})
  input.oninput = () => { if (input.value !== "" && input.checkValidity()) change(+input.value) }
  return {...named(name, input), show: value => { input.value = value }}
}

function check(name, change) {
  const input = make("input", {type: "checkbox", onchange: () => change(input.checked)})
  const element = make("label", {class: "check"}, input, " " + name)
  return {element, input, show: value => { input.checked = value }}
}

const button = (text, onclick) => make("button", {type: "button", onclick}, text)
const group = (name, ...controls) => make("fieldset", {}, make("legend", {}, name),
  ...controls.map(control => control.element ?? control))

// Is the page dark, and does its reader want things to move?
const isDark = () => document.body.classList.contains("quarto-dark")
const whenThemeChanges = draw => new MutationObserver(draw).observe(document.body,
  {attributes: true, attributeFilter: ["class"]})
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches

return {make, slider, stops, select, whole, check, button, group, isDark, whenThemeChanges, still}
})()
