"use strict"
// What a person knows of the scale: the height of the camera, or the distance between two points of the photo.
const scale = (() => {
  const at = (id) => document.getElementById(id)
  const ends = [...document.querySelectorAll(".end")]
  let places = [[0.3, 0.7], [0.7, 0.7]] // of the ends, as shares of the picture
  let picture = null

  const draw = () => {
    ends.forEach((end, number) => {
      end.style.left = `${100 * places[number][0]}%`
      end.style.top = `${100 * places[number][1]}%`
    })
    for (const [number, [x, y]] of places.entries()) {
      at("between").setAttribute(`x${number + 1}`, `${100 * x}%`)
      at("between").setAttribute(`y${number + 1}`, `${100 * y}%`)
    }
  }
  const move = (number, x, y) => {
    places[number] = [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))]
    draw()
  }
  const nearest = (x, y) => {
    const away = places.map(([a, b]) => Math.hypot(a - x, b - y))
    return away[0] <= away[1] ? 0 : 1
  }
  const shareOf = (event) => {
    const box = at("measured").getBoundingClientRect()
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
  }
  const choose = () => {
    const kind = at("scale").value
    at("known").hidden = !kind
    at("ruler").hidden = kind !== "length" || !picture
    at("metres-of").textContent = kind === "height" ? "Camera above the floor, metres" : "True length, metres"
    at("scale-told").textContent = kind !== "length" ? ""
      : picture ? "Put the two ends on things whose distance you know, best far apart and on one surface."
        : "Choose a photo that this browser can show."
  }
  const show = (source) => {
    picture = source
    if (source) at("measured").src = source
    else at("measured").removeAttribute("src")
    places = [[0.3, 0.7], [0.7, 0.7]]
    draw()
    choose()
  }
  // A sentence where something is missing; else the form has it, in pixels of the upright photo whose centres are whole.
  const addTo = (form) => {
    const kind = at("scale").value, metres = Number(at("metres").value)
    if (!kind) return null
    if (!(metres > 0)) return "Say how many metres it is."
    if (kind === "height") { form.append("camera_height_m", metres); return null }
    const image = at("measured")
    if (!picture || !image.naturalWidth) return "A length needs a photo that this browser can show."
    const pixels = places.flatMap(([x, y]) => [
      Math.min(image.naturalWidth - 1, Math.max(0, x * image.naturalWidth - 0.5)),
      Math.min(image.naturalHeight - 1, Math.max(0, y * image.naturalHeight - 0.5))])
    form.append("known_length", [...pixels.map((value) => value.toFixed(1)), metres].join(","))
    return null
  }

  at("scale").addEventListener("change", choose)
  at("ruler").addEventListener("pointerdown", (event) => {
    event.preventDefault()
    const number = nearest(...shareOf(event))
    ends[number].focus()
    move(number, ...shareOf(event))
    const follow = (next) => move(number, ...shareOf(next))
    addEventListener("pointermove", follow)
    for (const kind of ["pointerup", "pointercancel"]) {
      addEventListener(kind, () => removeEventListener("pointermove", follow), { once: true })
    }
  })
  ends.forEach((end, number) => end.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key]
    if (!step) return
    event.preventDefault()
    const by = event.shiftKey ? 0.05 : 0.005
    move(number, places[number][0] + by * step[0], places[number][1] + by * step[1])
  }))
  draw()
  return { show, addTo }
})()
