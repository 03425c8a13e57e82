// The page of one scene. Its data lies in <script type="application/..."> elements; docs/scenes-on-disk.md says what it can do.
import * as THREE from "three";
import { scaledGlb } from "./glb.js";
import { Model } from "./model.js";
import { Overlay } from "./overlay.js";
import { Panel } from "./panel.js";
import { TrueLength } from "./true_length.js";
import { Views } from "./views.js";

const facts = JSON.parse(document.getElementById("facts").textContent);
const $ = (id) => document.getElementById(id);
const canvas = $("view");
const stage = $("stage");
const model = new Model();
const scene = new THREE.Scene();
let renderer, views, overlay, trueLength;
let isDrawPlanned = false;
let selected = null;
let isMeasuring = false;
let isTurning = false;

const panel = new Panel(model, { select, show });

function draw() {
  if (isDrawPlanned) return;
  isDrawPlanned = true;
  requestAnimationFrame(drawNow);
}

function drawNow() {
  isDrawPlanned = false;
  renderer.render(scene, views.camera);
  overlay.place(views.camera, stage.clientWidth, stage.clientHeight);
}

function resize() {
  renderer.setSize(stage.clientWidth, stage.clientHeight, false);
  views.resize(stage.clientWidth, stage.clientHeight);
  placePhoto();
  draw();
}

// glTF frame from the camera frame: half a turn about x, as in the exporter.
function frustumLines({ fx_px, fy_px, cx_px, cy_px, width, height }, depth) {
  const corner = (u, v) => new THREE.Vector3(((u - cx_px) / fx_px) * depth, -((v - cy_px) / fy_px) * depth, -depth);
  const corners = [corner(-0.5, -0.5), corner(width - 0.5, -0.5), corner(width - 0.5, height - 0.5), corner(-0.5, height - 0.5)];
  const eye = new THREE.Vector3();
  const points = corners.flatMap((c, i) => [eye, c, c, corners[(i + 1) % 4]]);
  return new THREE.LineSegments(new THREE.BufferGeometry().setFromPoints(points), new THREE.LineBasicMaterial({ color: 0xe0561b }));
}

const frustum = frustumLines(facts.camera, 0.35);

const say = (text) => ($("said").textContent = text);

function changed() {
  panel.refresh();
  overlay.refresh();
  draw();
}

function colorBy(mode) {
  model.colorBy(mode);
  document.body.dataset.colors = mode;
  $("colors").value = mode;
  changed();
}

function show(name, isShown) {
  model.show(name, isShown);
  changed();
}

function showAll(isShown) {
  for (const name of model.names()) model.show(name, isShown);
  changed();
}

function isolate() {
  const isAlone = model.visible().length === 1;
  for (const name of model.names()) model.show(name, isAlone || selected === null || name === selected);
  say(isAlone || selected === null ? "all segments are shown" : `only ${selected} is shown`);
  changed();
}

function hideSelected() {
  if (selected === null) return say("nothing is picked");
  const name = selected;
  select(null);
  show(name, false);
  say(`${name} is hidden`);
}

// Things of which the network was less sure are not shown; stuff and what nobody scored stays.
function showSure(least) {
  for (const [name, { extras }] of model.parts) model.show(name, !extras.is_thing || extras.score === null || extras.score >= least);
  $("sure").value = Math.round(100 * least);
  $("sure-told").textContent = `${Math.round(100 * least)} %`;
  changed();
}

function select(name) {
  selected = name;
  model.mark(name);
  panel.tell(name);
  say(name === null ? "nothing is picked" : $("picked").innerText.replaceAll("\n", ", "));
  changed();
}

function look(kind) {
  stopTurning();
  if (kind !== "photo") fade(100);
  views.look(kind);
  for (const button of document.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", button.dataset.view === kind);
}

// From 0, the photo, to 100, the scene: both from the photo's own place.
function fade(percent) {
  $("fade").value = percent;
  $("over").style.opacity = 1 - percent / 100;
  $("over").hidden = percent >= 100;
}

// The photo lies where its camera has it in the window.
function placePhoto() {
  const { width, height } = facts.camera;
  const scale = Math.min(stage.clientWidth / width, stage.clientHeight / height);
  Object.assign($("over").style, { width: `${width * scale}px`, height: `${height * scale}px` });
}

function rayAt(x, y) {
  const area = canvas.getBoundingClientRect();
  const at = new THREE.Vector2(((x - area.left) / area.width) * 2 - 1, 1 - ((y - area.top) / area.height) * 2);
  const ray = new THREE.Raycaster();
  views.camera.updateMatrixWorld(); // it may have moved since the last frame was drawn
  ray.setFromCamera(at, views.camera);
  return ray;
}

function pick(x, y) {
  const hit = model.hit(rayAt(x, y));
  return hit ? hit.object.userData.segment : null;
}

// The segment that the photo shows at a pixel of it, from 0 to 1 across and down.
function pickInPhoto(across, down) {
  const { fx_px, fy_px, cx_px, cy_px, width, height } = facts.camera;
  const way = new THREE.Vector3((across * width - 0.5 - cx_px) / fx_px, -(down * height - 0.5 - cy_px) / fy_px, -1);
  const hit = model.hit(new THREE.Raycaster(new THREE.Vector3(), way.normalize()));
  return hit ? hit.object.userData.segment : null;
}

function measureAt(x, y) {
  const hit = model.hit(rayAt(x, y));
  if (!hit) return say("there is no surface");
  const length = overlay.measure(hit.point);
  trueLength.measured(overlay.lastEnds());
  say(length === null ? "first end set; choose the second" : `${length.toFixed(2)} metres`);
  draw();
}

function setMeasuring(isOn) {
  isMeasuring = isOn;
  $("measure").setAttribute("aria-pressed", isOn);
  stage.classList.toggle("measuring", isOn);
  if (!isOn) {
    overlay.forgetMeasures();
    trueLength.measured(null);
  }
  say(isOn ? "measuring: choose two points; by the keyboard, turn them to the middle of the picture and press Enter" : "measuring ended");
  draw();
}

function scaled(ratio) {
  overlay.scaleBy(ratio);
  panel.tell(selected);
  views.scaleBy(ratio);
  changed();
}

function toggle(id, name, isOn = $(id).getAttribute("aria-pressed") !== "true") {
  $(id).setAttribute("aria-pressed", isOn);
  overlay.shows[name] = isOn;
  overlay.refresh();
  draw();
}

function turn() {
  if (!isTurning) return;
  views.orbit(0.035, 0);
  views.isMoved = false;
  requestAnimationFrame(turn);
}

function stopTurning() {
  isTurning = false;
  $("turn").setAttribute("aria-pressed", false);
}

function startTurning() {
  isTurning = true;
  $("turn").setAttribute("aria-pressed", true);
  turn();
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function savePicture() {
  drawNow();
  canvas.toBlob((blob) => save(blob, `${document.title}.png`));
}

function fullscreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else stage.requestFullscreen?.();
}

const KEYS = {
  ArrowLeft: (step) => (views.kind === "walk" ? views.orbit(step, 0) : views.orbit(-step, 0)),
  ArrowRight: (step) => (views.kind === "walk" ? views.orbit(-step, 0) : views.orbit(step, 0)),
  ArrowUp: (step) => (views.kind === "walk" ? views.walk(0, step) : views.orbit(0, -step)),
  ArrowDown: (step) => (views.kind === "walk" ? views.walk(0, -step) : views.orbit(0, step)),
  w: () => views.walk(0, 1),
  s: () => views.walk(0, -1),
  a: () => views.walk(-1, 0),
  d: () => views.walk(1, 0),
  "+": () => views.zoom(0.9),
  "=": () => views.zoom(0.9),
  "-": () => views.zoom(1.1),
  1: () => look("overview"),
  2: () => look("photo"),
  3: () => look("plan"),
  4: () => look("walk"),
  l: () => toggle("labels", "labels"),
  b: () => toggle("boxes", "boxes"),
  m: () => setMeasuring(!isMeasuring),
  i: isolate,
  h: hideSelected,
  f: fullscreen,
  t: () => (isTurning ? stopTurning() : startTurning()),
  n: () => selectNext(1),
  p: () => selectNext(-1),
  Escape: () => (isMeasuring ? setMeasuring(false) : select(null)),
  Enter: () => {
    const area = canvas.getBoundingClientRect();
    const middle = [area.left + area.width / 2, area.top + area.height / 2];
    if (isMeasuring) measureAt(...middle);
    else select(pick(...middle));
  },
};

function selectNext(step) {
  const names = model.visible();
  if (names.length) select(names[(names.indexOf(selected) + step + names.length + (selected === null && step < 0 ? 1 : 0)) % names.length]);
}

function onKey(event) {
  const isTyping = event.target.matches?.("input, select, button, a, summary") && event.target !== canvas;
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  if (event.key !== "t") stopTurning();
  act(event.shiftKey ? 3 : 1);
}

function onHover(event) {
  if (event.buttons || event.pointerType === "touch") return ($("hover").hidden = true);
  if (onHover.isPlanned) return;
  onHover.isPlanned = true;
  requestAnimationFrame(() => {
    onHover.isPlanned = false;
    const name = isTurning ? null : pick(event.clientX, event.clientY);
    const area = stage.getBoundingClientRect();
    $("hover").hidden = name === null;
    $("hover").textContent = name ?? "";
    $("hover").style.transform = `translate(${event.clientX - area.left + 14}px, ${event.clientY - area.top + 14}px)`;
  });
}

function listen(glb) {
  let down = null;
  canvas.addEventListener("pointerdown", (event) => {
    stopTurning();
    down = [event.clientX, event.clientY];
  });
  canvas.addEventListener("pointerup", (event) => {
    const isClick = down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < 5;
    if (isClick && isMeasuring) measureAt(event.clientX, event.clientY);
    else if (isClick) select(pick(event.clientX, event.clientY));
    else views.isMoved = true;
    down = null;
  });
  canvas.addEventListener("wheel", () => {
    stopTurning();
    views.isMoved = true;
  }, { passive: true });
  canvas.addEventListener("pointermove", onHover);
  canvas.addEventListener("pointerleave", () => ($("hover").hidden = true));
  document.addEventListener("keydown", onKey);
  new ResizeObserver(resize).observe(stage);
  const click = (id, act) => $(id).addEventListener("click", act);
  for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => look(button.dataset.view));
  $("colors").addEventListener("change", (event) => colorBy(event.target.value));
  $("fade").addEventListener("input", (event) => {
    const percent = Number(event.target.value);
    if (views.kind !== "photo" || views.isMoved) look("photo");
    fade(percent);
  });
  $("sure").addEventListener("input", (event) => showSure(event.target.value / 100));
  $("hatch").addEventListener("change", (event) => {
    model.hatch(event.target.checked);
    draw();
  });
  $("guess").addEventListener("change", (event) => {
    model.hideGuess(!event.target.checked);
    draw();
  });
  $("frustum").addEventListener("change", (event) => {
    frustum.visible = event.target.checked;
    draw();
  });
  for (const image of [$("photo"), $("over")])
    image.addEventListener("click", (event) => {
      const area = image.getBoundingClientRect();
      select(pickInPhoto((event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height));
    });
  click("all", () => showAll(true));
  click("none", () => showAll(false));
  click("labels", () => toggle("labels", "labels"));
  click("boxes", () => toggle("boxes", "boxes"));
  click("measure", () => setMeasuring(!isMeasuring));
  click("isolate", isolate);
  click("hide", hideSelected);
  click("turn", () => (isTurning ? stopTurning() : startTurning()));
  click("full", fullscreen);
  click("save-glb", () => save(new Blob([scaledGlb(glb, model.scale)], { type: "model/gltf-binary" }), `${document.title}.glb`));
  click("save-png", savePicture);
  click("theme", () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
  });
}

// The GLB is deflated and in base64.
async function bytesOf(id) {
  const text = atob($(id).textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// Where on the page a segment is in front, found by asking the picker on a coarse raster.
function renderedPixels(name, step = 12) {
  const area = canvas.getBoundingClientRect();
  const found = [];
  for (let y = area.top + step; y < area.bottom; y += step)
    for (let x = area.left + step; x < area.right; x += step) if (pick(x, y) === name) found.push([x, y]);
  return found;
}

// For tests and for whoever scripts the page: what is drawn, by name.
window.panoptic3d = {
  ready: false,
  names: () => model.names(),
  visible: () => model.visible(),
  selected: () => selected,
  pick,
  pickInPhoto,
  select,
  show,
  showSure,
  colorBy,
  look,
  fade,
  stopTurning,
  view: () => ({ kind: views.kind, position: views.camera.position.toArray(), target: views.controls.target.toArray() }),
  onScreen: () => views.camera.updateMatrixWorld() || model.points().map((point) => point.project(views.camera)).every(({ x, y }) => Math.abs(x) <= 1 && Math.abs(y) <= 1),
  scale: () => model.scale,
  facts: (name) => model.parts.get(name).extras,
  lengths: () => overlay.measures.children.map((line) => line.userData.length),
  pixelsOf: renderedPixels,
};

function makeRenderer() {
  renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true, preserveDrawingBuffer: true });
  renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
  views = new Views(canvas, facts, model, draw);
  overlay = new Overlay($("tags"), scene, model);
  trueLength = new TrueLength(model, facts, { scaled, say });
  const light = new THREE.DirectionalLight(0xffffff, 1.1);
  light.position.set(0.3, 0.5, 1);
  views.camera.add(light);
  scene.add(new THREE.HemisphereLight(0xffffff, 0xc8c8d0, 2.1), views.camera, model.world, frustum);
}

async function start() {
  // In a frame, such as that of `panoptic3d app`, the address "/" is not the gallery, and the page around it lists the scenes.
  const isFramed = window.self !== window.top;
  if (!isFramed && location.protocol.startsWith("http") && location.pathname.split("/").length > 2) $("back").hidden = false;
  makeRenderer();
  const glb = await bytesOf("glb");
  await model.load(glb);
  if (model.photo) {
    const url = URL.createObjectURL(model.photo);
    $("photo").src = $("over").src = url;
    $("over").alt = $("photo").alt;
  }
  panel.fill();
  listen(glb);
  colorBy("photo");
  showSure(Math.floor(10 * facts.unsure_below) / 20); // half of what is unsure, in steps of the slider
  resize();
  look("overview");
  drawNow();
  $("busy").remove();
  window.panoptic3d.ready = true;
  document.body.dataset.ready = "yes";
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches && !navigator.webdriver) startTurning();
}

// Without WebGL there is still the preview, and a sentence instead of an empty page.
function giveUp(error) {
  document.body.dataset.failed = "yes";
  $("fallback").hidden = false;
  const isWebGL = /webgl/i.test(error.message);
  $("why").textContent = isWebGL ? "This browser shows no 3D (WebGL is off or missing), so here is a picture of the scene." : `This scene could not be shown in 3D: ${error.message}`;
  $("busy")?.remove();
}

start().catch((error) => {
  giveUp(error);
  if (!/webgl/i.test(error.message)) throw error;
});
