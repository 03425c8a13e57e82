// The page of one scene. Its data lies in <script type="application/..."> elements; docs/scenes-on-disk.md says what it can do.
import * as THREE from "three";
import { scaledGlb } from "./glb.js";
import { Model } from "./model.js";
import { Overlay } from "./overlay.js";
import { element, isUnsure, Panel } from "./panel.js";
import { Photos } from "./photos.js";
import { TrueLength } from "./true_length.js";
import { Views } from "./views.js";

const facts = JSON.parse(document.getElementById("facts").textContent);
const $ = (id) => document.getElementById(id);
const NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";
const canvas = $("view");
const stage = $("stage");
const model = new Model();
const scene = new THREE.Scene();
const photos = new Photos(facts);
let renderer, views, overlay, trueLength;
let isDrawPlanned = false;
let selected = null;
let firstUrl = $("photo").src; // of the first photo: the GLB has it, or the page something in its place
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

// Through one of several photos.
function lookThrough(number) {
  showPhoto(number);
  look("photo");
  fade(100);
  say(`as in ${photos.nameOf(number)}`);
}

function showPhoto(number) {
  photos.show(number);
  $("photo").src = $("over").src = pictureOf(number);
  $("over").alt = $("photo").alt;
  for (const button of $("photos").children) button.setAttribute("aria-pressed", Number(button.dataset.photo) === number);
  placePhoto();
}

const pictureOf = (number) => (number === photos.first ? firstUrl : photos.all[number].picture ?? NO_PICTURE);

function fillPhotos() {
  $("photos").hidden = photos.all.length < 2;
  photos.all.forEach((_, number) => {
    const name = photos.nameOf(number);
    const button = element("button", { type: "button", title: name }, element("img", { alt: name, src: pictureOf(number) }));
    button.dataset.photo = number;
    button.addEventListener("click", () => lookThrough(number));
    $("photos").append(button);
  });
}

// From 0, the photo, to 100, the scene: both from the photo's own place.
function fade(percent) {
  $("fade").value = percent;
  $("over").style.opacity = 1 - percent / 100;
  $("over").hidden = percent >= 100;
}

// The photo lies where its camera has it in the window.
function placePhoto() {
  const { width, height } = photos.current.camera;
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

// The photo whose pyramid is in front there.
function pickPyramid(x, y) {
  const ray = rayAt(x, y);
  const hit = photos.hit(ray);
  return hit && hit.distance < (model.hit(ray)?.distance ?? Infinity) ? hit.number : null;
}

function click(x, y) {
  const number = pickPyramid(x, y);
  if (number === null) select(pick(x, y));
  else lookThrough(number);
}

// The segment that the photo shows at a pixel of it, from 0 to 1 across and down.
function pickInPhoto(across, down) {
  const hit = model.hit(photos.rayOf(across, down, model.scale));
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
  photos.scaleTo(model.scale);
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
  v: () => lookThrough((photos.shown + 1) % photos.all.length),
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
    const number = isTurning ? null : pickPyramid(event.clientX, event.clientY);
    const name = number !== null ? photos.nameOf(number) : isTurning ? null : pick(event.clientX, event.clientY);
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
    else if (isClick) click(event.clientX, event.clientY);
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
  const onClick = (id, act) => $(id).addEventListener("click", act);
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
  for (const id of ["guess", "unsure-guess"]) $(id).addEventListener("change", showGuess);
  $("frustum").addEventListener("change", (event) => {
    photos.world.visible = event.target.checked;
    draw();
  });
  for (const image of [$("photo"), $("over")])
    image.addEventListener("click", (event) => {
      const area = image.getBoundingClientRect();
      select(pickInPhoto((event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height));
    });
  onClick("all", () => showAll(true));
  onClick("none", () => showAll(false));
  onClick("labels", () => toggle("labels", "labels"));
  onClick("boxes", () => toggle("boxes", "boxes"));
  onClick("measure", () => setMeasuring(!isMeasuring));
  onClick("isolate", isolate);
  onClick("hide", hideSelected);
  onClick("turn", () => (isTurning ? stopTurning() : startTurning()));
  onClick("full", fullscreen);
  onClick("save-glb", () => save(new Blob([scaledGlb(glb, model.scale)], { type: "model/gltf-binary" }), `${document.title}.glb`));
  onClick("save-png", savePicture);
  onClick("theme", () => {
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

function showGuess() {
  model.hideGuess(!$("guess").checked, !$("unsure-guess").checked);
  draw();
}

// For tests and for whoever scripts the page: what is drawn, by name.
window.panoptic3d = {
  ready: false,
  names: () => model.names(),
  visible: () => model.visible(),
  guessed: () => model.guessed(),
  selected: () => selected,
  pick,
  pickInPhoto,
  pickPyramid,
  lookThrough,
  photos: () => ({ names: photos.all.map((_, number) => photos.nameOf(number)), shown: photos.shown }),
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
  views = new Views(canvas, facts, model, photos, draw);
  overlay = new Overlay($("tags"), scene, model);
  trueLength = new TrueLength(model, facts, { scaled, say });
  const light = new THREE.DirectionalLight(0xffffff, 1.1);
  light.position.set(0.3, 0.5, 1);
  views.camera.add(light);
  scene.add(new THREE.HemisphereLight(0xffffff, 0xc8c8d0, 2.1), views.camera, model.world, photos.world);
}

async function start() {
  // In a frame, such as that of `panoptic3d app`, the address "/" is not the gallery, and the page around it lists the scenes.
  const isFramed = window.self !== window.top;
  if (!isFramed && location.protocol.startsWith("http") && location.pathname.split("/").length > 2) $("back").hidden = false;
  makeRenderer();
  const glb = await bytesOf("glb");
  const hasConfidence = $("confidence").textContent.trim() !== "";
  await model.load(glb, hasConfidence ? new Uint8Array(await bytesOf("confidence")) : null, isUnsure);
  if (model.photo) firstUrl = URL.createObjectURL(model.photo);
  if (!hasConfidence) $("colors").querySelector("[value=confidence]").remove();
  fillPhotos();
  showPhoto(photos.first);
  panel.fill();
  listen(glb);
  colorBy("photo");
  showGuess();
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
