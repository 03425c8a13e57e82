"use strict"
const at = (id) => document.getElementById(id)
const say = (text, isWrong = false) => { at("told").textContent = text; at("told").classList.toggle("wrong", isWrong) }
let photo = null
let shown = null

async function ask(path, options) {
  const answer = await fetch(path, options)
  const body = answer.status === 204 ? {} : await answer.json()
  if (!answer.ok) throw new Error(body.error || `The server answered ${answer.status}.`)
  return body
}

async function take(file) {
  photo = file
  at("go").disabled = false
  const drop = at("drop")
  drop.querySelector("img")?.remove()
  if (file.type.startsWith("image/") && !/hei[cf]/.test(file.type)) {
    const picture = new Image()
    picture.alt = "The chosen photo"
    picture.src = URL.createObjectURL(file)
    drop.append(picture)
    scale.show(picture.src)
  } else scale.show(null)
  say(`${file.name} is ready.`)
  const form = new FormData()
  form.append("photo", file)
  try {
    const camera = await ask("/api/camera", { method: "POST", body: form })
    if (photo !== file) return
    if (at("auto").checked) { at("fov").value = camera.fov_deg; tellFov() }
    at("source").textContent = `The photo: ${camera.fov_deg.toFixed(1)} degrees wide (${camera.source}).`
  } catch (error) { if (photo === file) say(error.message, true) }
}

function tellFov() { at("fov-told").value = `${at("fov").value}°` }

async function go() {
  const form = new FormData()
  form.append("photo", photo)
  if (!at("auto").checked) form.append("fov_deg", at("fov").value)
  const wrong = scale.addTo(form)
  if (wrong) { say(wrong, true); return }
  if (at("checkpoint").value) form.append("checkpoint", at("checkpoint").value)
  if (at("depth").files.length) form.append("depth", at("depth").files[0])
  at("go").disabled = true
  say("Sending the photo.")
  try {
    const { id } = await ask("/api/scenes", { method: "POST", body: form })
    await follow(id)
  } catch (error) { say(error.message, true) }
  at("progress").hidden = true
  at("go").disabled = false
  await listRecent()
}

async function follow(id) {
  at("progress").hidden = false
  for (;;) {
    const job = await ask(`/api/scenes/${id}`)
    at("progress").value = job.progress
    if (job.state === "failed") throw new Error(job.error)
    if (job.state === "done") { say("Done."); show(job); return }
    say(job.state === "queued" ? "Waiting for the photos before this one." : `${Math.round(job.progress * 100)} % done.`)
    await new Promise((next) => setTimeout(next, 400))
  }
}

function link(text, href, download) {
  const anchor = document.createElement("a")
  anchor.textContent = text
  anchor.href = href
  if (download) anchor.download = download
  return anchor
}

function show(job) {
  shown = job.id
  const stem = job.name.replace(/\.[^.]*$/, "")
  at("result").hidden = false
  at("result-title").textContent = job.name
  at("scene").src = `/api/scenes/${job.id}/index.html`
  at("links").replaceChildren(
    link("GLB", `/api/scenes/${job.id}/scene.glb`, `${stem}.glb`),
    link("Preview", `/api/scenes/${job.id}/preview.png`, `${stem}.png`),
    link("Segments", `/api/scenes/${job.id}/scene.json`, `${stem}.json`),
    link("Page alone", `/api/scenes/${job.id}/index.html`))
  if (innerWidth < 760) at("result").scrollIntoView()
}

async function listRecent() {
  const jobs = await ask("/api/scenes")
  at("recent").replaceChildren(...jobs.map((job) => {
    const row = document.createElement("li")
    const title = document.createElement("span")
    title.textContent = job.state === "failed" ? `${job.name}: ${job.error}` : `${job.name} (${job.state})`
    row.append(title)
    if (job.state === "done") {
      const picture = new Image()
      picture.alt = ""
      picture.loading = "lazy"
      picture.src = `/api/scenes/${job.id}/preview.png`
      row.prepend(picture)
      row.append(button(`Show ${job.name}`, "Show", () => { show(job); at("result").scrollIntoView() }))
    }
    row.append(button(`Delete ${job.name}`, "Delete", async () => {
      await ask(`/api/scenes/${job.id}`, { method: "DELETE" }).catch((error) => say(error.message, true))
      if (shown === job.id) { at("result").hidden = true; at("scene").removeAttribute("src") }
      await listRecent()
    }))
    return row
  }))
}

function button(label, text, work) {
  const made = document.createElement("button")
  made.type = "button"
  made.textContent = text
  made.setAttribute("aria-label", label)
  made.addEventListener("click", work)
  return made
}

async function start() {
  const about = await ask("/api/about")
  at("checkpoint").replaceChildren(new Option("the default", ""), ...about.checkpoints.map((name) => new Option(name, name)))
  at("kept").textContent = `The files are deleted after ${about.keep_hours} hours, when you delete them, and when the server ends.`
  at("examples").replaceChildren(...about.examples.map((name) => {
    const made = button(`Example photo ${name}`, "", async () => {
      const bytes = await (await fetch(`/api/examples/${name}`)).blob()
      await take(new File([bytes], name, { type: "image/jpeg" }))
    })
    const picture = new Image()
    picture.alt = ""
    picture.src = `/api/examples/${name}`
    made.append(picture)
    return made
  }))
  await listRecent()
}

at("photo").addEventListener("change", (event) => { if (event.target.files.length) take(event.target.files[0]) })
at("auto").addEventListener("change", () => { at("fov").disabled = at("auto").checked })
at("fov").addEventListener("input", tellFov)
at("go").addEventListener("click", go)
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => { event.preventDefault(); at("drop").classList.add("over") })
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) at("drop").classList.remove("over") })
document.addEventListener("drop", (event) => {
  event.preventDefault()
  at("drop").classList.remove("over")
  const [file] = event.dataTransfer.files
  if (file) take(file)
})
start().catch((error) => say(error.message, true))
