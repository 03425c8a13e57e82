// The page of one scene: orbit, pick, hide and show. Its data lies in three <script type="application/..."> elements.
import * as THREE from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";

const facts = JSON.parse(document.getElementById("facts").textContent);
const $ = (id) => document.getElementById(id);
const canvas = $("view");
const renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
const scene = new THREE.Scene();
const camera = new THREE.PerspectiveCamera(50, 1, 0.05, 100);
const controls = new OrbitControls(camera, canvas);
controls.enableDamping = false;
scene.add(new THREE.HemisphereLight(0xffffff, 0xd0d0d8, 2.2));
const headLight = new THREE.DirectionalLight(0xffffff, 0.9);
camera.add(headLight);
scene.add(camera);

const parts = new Map(); // name -> {mesh, extras, photoColor, heightColor}
let selected = null;
let isDrawPlanned = false;

function draw() {
  if (isDrawPlanned) return;
  isDrawPlanned = true;
  requestAnimationFrame(() => {
    isDrawPlanned = false;
    renderer.render(scene, camera);
  });
}

function resize() {
  const { clientWidth: width, clientHeight: height } = canvas.parentElement;
  renderer.setSize(width, height, false);
  camera.aspect = width / Math.max(height, 1);
  camera.updateProjectionMatrix();
  draw();
}

// glTF frame from the camera frame: half a turn about x, as in the exporter.
const fromCamera = (x, y, z) => new THREE.Vector3(x, -y, -z);

function frustumLines({ fx_px, fy_px, cx_px, cy_px, width, height }, depth) {
  const corner = (u, v) => fromCamera(((u - cx_px) / fx_px) * depth, ((v - cy_px) / fy_px) * depth, depth);
  const corners = [corner(-0.5, -0.5), corner(width - 0.5, -0.5), corner(width - 0.5, height - 0.5), corner(-0.5, height - 0.5)];
  const eye = new THREE.Vector3();
  const points = corners.flatMap((c, i) => [eye, c, c, corners[(i + 1) % 4]]);
  const geometry = new THREE.BufferGeometry().setFromPoints(points);
  return new THREE.LineSegments(geometry, new THREE.LineBasicMaterial({ color: 0xe0561b }));
}

const frustum = frustumLines(facts.camera, 0.6);
scene.add(frustum);

function heightColors(geometry, low, high) {
  const position = geometry.getAttribute("position");
  const colors = new Float32Array(position.count * 3);
  const color = new THREE.Color();
  for (let i = 0; i < position.count; i++) {
    const t = Math.min(Math.max((position.getY(i) - low) / Math.max(high - low, 1e-6), 0), 1);
    color.setHSL(0.7 - 0.62 * t, 0.75, 0.35 + 0.25 * t, THREE.SRGBColorSpace).toArray(colors, 3 * i);
  }
  return new THREE.BufferAttribute(colors, 3);
}

const srgb = ([r, g, b]) => new THREE.Color().setRGB(r / 255, g / 255, b / 255, THREE.SRGBColorSpace);

function colorBy(mode) {
  for (const { mesh, extras, photoColor, heightColor } of parts.values()) {
    if (!mesh) continue;
    const byVertex = mode === "photo" || mode === "height";
    if (byVertex) mesh.geometry.setAttribute("color", mode === "photo" ? photoColor : heightColor);
    mesh.material.vertexColors = byVertex;
    if (byVertex) mesh.material.color.set(0xffffff);
    else mesh.material.color.copy(srgb(mode === "class" ? extras.class_color : extras.instance_color));
    mesh.material.needsUpdate = true;
  }
  document.body.dataset.colors = mode;
  for (const row of document.querySelectorAll("#segments li")) {
    const { extras } = parts.get(row.dataset.name);
    const color = mode === "instance" ? extras.instance_color : extras.class_color;
    row.querySelector(".chip").style.background = `rgb(${color.join(",")})`;
  }
  draw();
}

function show(name, isShown) {
  const { mesh } = parts.get(name);
  if (mesh) mesh.visible = isShown;
  const row = [...document.querySelectorAll("#segments li")].find((r) => r.dataset.name === name);
  row.querySelector("input").checked = isShown;
  draw();
}

const metres = (value) => `${value.toFixed(2)} m`;

function select(name) {
  selected = name;
  for (const [other, { mesh }] of parts) if (mesh) mesh.material.emissive.set(other === name ? 0x664400 : 0x000000);
  for (const row of document.querySelectorAll("#segments li")) row.classList.toggle("selected", row.dataset.name === name);
  const box = $("picked");
  box.replaceChildren();
  box.hidden = name === null;
  if (name !== null) {
    const { extras } = parts.get(name);
    const add = (tag, text) => Object.assign(box.appendChild(document.createElement(tag)), { textContent: text });
    add("strong", name);
    add("div", extras.size_m ? `${extras.size_m.map((v) => v.toFixed(2)).join(" × ")} m (width × height × depth)` : "no surface");
    add("div", extras.score === null ? "no score" : `score ${extras.score.toFixed(2)}`);
    if (extras.distance_m !== null) add("div", `${metres(extras.distance_m)} from the camera`);
  }
  draw();
}

function pick(x, y) {
  const area = canvas.getBoundingClientRect();
  const at = new THREE.Vector2(((x - area.left) / area.width) * 2 - 1, 1 - ((y - area.top) / area.height) * 2);
  const ray = new THREE.Raycaster();
  camera.updateMatrixWorld(); // it may have moved since the last frame was drawn
  ray.setFromCamera(at, camera);
  const meshes = [...parts.values()].map((part) => part.mesh).filter((mesh) => mesh && mesh.visible);
  const hit = ray.intersectObjects(meshes, false)[0];
  return hit ? hit.object.userData.segment : null;
}

function look(kind) {
  const { width, height, fy_px } = facts.camera;
  const middle = fromCamera(...facts.focus_m);
  if (kind === "photo") {
    camera.fov = (2 * Math.atan(height / 2 / fy_px) * 180) / Math.PI;
    if (camera.aspect < width / height) camera.fov = (2 * Math.atan((Math.tan((camera.fov * Math.PI) / 360) * width) / height / camera.aspect) * 180) / Math.PI;
    camera.position.set(0, 0, 0);
    controls.target.set(0, 0, -Math.max(0.5, facts.focus_m[2]));
  } else {
    camera.fov = 50;
    const back = Math.max(1, 1.2 / camera.aspect);
    camera.position.set(middle.x * 0.4, 2.4 * back, 1.9 * back);
    controls.target.copy(middle);
  }
  camera.updateProjectionMatrix();
  controls.update();
  draw();
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function fillList() {
  for (const [name, { extras }] of parts) {
    const box = element("input", { type: "checkbox", checked: true, ariaLabel: `show ${name}` });
    box.addEventListener("change", () => show(name, box.checked));
    const button = element("button", { type: "button", textContent: name });
    button.addEventListener("click", () => select(selected === name ? null : name));
    const score = element("span", { className: "score", textContent: extras.score === null ? "" : extras.score.toFixed(2) });
    const row = element("li", {}, box, element("span", { className: "chip" }), button, score);
    row.dataset.name = name;
    $("segments").append(row);
  }
  const used = new Map([...parts.values()].map(({ extras }) => [extras.class, extras.class_color]));
  for (const [name, color] of used) {
    const chip = element("span", { className: "chip" });
    chip.style.background = `rgb(${color.join(",")})`;
    $("legend").append(element("span", {}, chip, name));
  }
}

function listen() {
  let down = null;
  canvas.addEventListener("pointerdown", (event) => (down = [event.clientX, event.clientY]));
  canvas.addEventListener("pointerup", (event) => {
    if (down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < 5) select(pick(event.clientX, event.clientY));
    down = null;
  });
  controls.addEventListener("change", draw);
  window.addEventListener("resize", resize);
  $("colors").addEventListener("change", (event) => colorBy(event.target.value));
  $("all").addEventListener("click", () => [...parts.keys()].forEach((name) => show(name, true)));
  $("none").addEventListener("click", () => [...parts.keys()].forEach((name) => show(name, false)));
  $("overview").addEventListener("click", () => look("overview"));
  $("from-photo").addEventListener("click", () => look("photo"));
  $("frustum").addEventListener("change", (event) => {
    frustum.visible = event.target.checked;
    draw();
  });
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
  });
}

// The meshes carry COLOR_0 in linear colours, which three.js takes as they are.
function adopt(gltf) {
  gltf.scene.updateMatrixWorld(true);
  const nodes = gltf.scene.children;
  const heights = nodes.filter((node) => node.isMesh).map((node) => new THREE.Box3().setFromObject(node));
  const low = Math.min(...heights.map((box) => box.min.y));
  const high = Math.max(...heights.map((box) => box.max.y));
  for (const node of [...nodes]) {
    const extras = node.userData;
    const mesh = node.isMesh ? node : null;
    if (mesh) {
      mesh.material = new THREE.MeshLambertMaterial({ side: THREE.DoubleSide });
      mesh.userData.segment = extras.name;
      scene.add(mesh);
    }
    const photoColor = mesh ? mesh.geometry.getAttribute("color") : null;
    parts.set(extras.name, { mesh, extras, photoColor, heightColor: mesh ? heightColors(mesh.geometry, low, high) : null });
  }
}

function bytesOf(id) {
  const text = atob($(id).textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}

// For tests and for whoever scripts the page: what is drawn, by name.
window.panoptic3d = {
  ready: false,
  names: () => [...parts.keys()],
  visible: () => [...parts].filter(([, part]) => part.mesh && part.mesh.visible).map(([name]) => name),
  selected: () => selected,
  pick,
  select,
  show,
  colorBy,
  look,
  pixelsOf: (name) => renderedPixels(name),
};

// Where on the page a segment is in front, found by asking the picker on a coarse raster.
function renderedPixels(name, step = 12) {
  const area = canvas.getBoundingClientRect();
  const found = [];
  for (let y = area.top + step; y < area.bottom; y += step)
    for (let x = area.left + step; x < area.right; x += step) if (pick(x, y) === name) found.push([x, y]);
  return found;
}

async function start() {
  const gltf = await new GLTFLoader().parseAsync(bytesOf("glb"), "");
  adopt(gltf);
  fillList();
  listen();
  resize();
  look("overview");
  colorBy("photo");
  renderer.render(scene, camera);
  $("busy").remove();
  window.panoptic3d.ready = true;
  document.body.dataset.ready = "yes";
}

start().catch((error) => {
  $("busy").textContent = `This scene could not be shown: ${error.message}`;
  throw error;
});
