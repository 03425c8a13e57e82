// The scene's meshes: each segment has what the photo shows of it, and the guess. Colours, visibility, picking.
import * as THREE from "three";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";

const HATCH = { value: 0 };
const RAMP = ["#3b0f70", "#b73779", "#fe9f6d", "#fcfdbf"].map((color) => new THREE.Color(color)); // from 0 to 1
const STRIPES = "#include <color_fragment>\nif (hatch > 0.5 && mod(gl_FragCoord.x + gl_FragCoord.y, 9.0) < 3.0) diffuseColor.rgb *= 0.6;";

const srgb = ([r, g, b]) => new THREE.Color().setRGB(r / 255, g / 255, b / 255, THREE.SRGBColorSpace);

// Walls are seen through from behind, so that one can look into the room from outside.
const sideOf = (extras) => (extras.is_thing ? THREE.DoubleSide : THREE.FrontSide);

function guessMaterial(side) {
  const material = new THREE.MeshLambertMaterial({ side, vertexColors: true });
  material.onBeforeCompile = (shader) => {
    shader.uniforms.hatch = HATCH;
    shader.fragmentShader = `uniform float hatch;\n${shader.fragmentShader.replace("#include <color_fragment>", STRIPES)}`;
  };
  return material;
}

function layerOf(mesh, extras, world) {
  const isSeen = Boolean(mesh.material.map);
  const side = sideOf(extras);
  const photo = isSeen ? new THREE.MeshBasicMaterial({ map: mesh.material.map, side }) : guessMaterial(side);
  const flat = isSeen ? new THREE.MeshLambertMaterial({ side }) : guessMaterial(side);
  const own = mesh.geometry.getAttribute("color");
  mesh.userData = { segment: extras.name, isSeen };
  mesh.material = photo;
  world.add(mesh);
  return { mesh, isSeen, photo, flat, own, height: null, confidence: null };
}

export class Model {
  constructor() {
    this.world = new THREE.Group();
    this.parts = new Map(); // name -> {extras, layers, isShown}
    this.box = new THREE.Box3();
    this.mode = "photo";
    this.photo = null;
    this.hidesGuess = false;
    this.hidesUnsureGuess = true;
    this.scale = 1; // of what is shown to what was predicted
  }

  // `confidences` has a byte for every vertex, in the order of the file, or is null.
  async load(bytes, confidences, isUnsure) {
    const gltf = await new GLTFLoader().parseAsync(bytes, "");
    gltf.scene.updateMatrixWorld(true);
    let start = 0;
    const taken = (num) => confidences.subarray(start, (start += num));
    for (const node of [...gltf.scene.children]) {
      if (node.isCamera || !node.userData.name) continue;
      const extras = node.userData;
      const meshes = [];
      node.traverse((one) => one.isMesh && meshes.push(one));
      for (const mesh of meshes) mesh.geometry.applyMatrix4(flattened(mesh));
      const layers = meshes.map((mesh) => layerOf(mesh, extras, this.world));
      if (confidences) for (const layer of layers) layer.confidence = taken(layer.mesh.geometry.getAttribute("position").count);
      this.parts.set(extras.name, { extras, layers, isShown: true, isUnsure: isUnsure(extras) });
      for (const { mesh } of layers) this.box.union(new THREE.Box3().setFromBufferAttribute(mesh.geometry.getAttribute("position")));
    }
    const image = gltf.parser.json.images?.[0];
    if (image) this.photo = new Blob([await gltf.parser.getDependency("bufferView", image.bufferView)], { type: image.mimeType });
  }

  // All lengths `scale` times as predicted; the photo's camera stays at the origin.
  scaleTo(scale) {
    const ratio = scale / this.scale;
    this.scale = scale;
    for (const part of this.parts.values()) {
      for (const { mesh } of part.layers) mesh.geometry.scale(ratio, ratio, ratio);
      part.extras = scaledExtras(part.extras, ratio);
    }
    this.box.set(this.box.min.multiplyScalar(ratio), this.box.max.multiplyScalar(ratio));
  }

  names() {
    return [...this.parts.keys()];
  }

  meshes() {
    return [...this.parts.values()].filter((part) => part.isShown).flatMap((part) => part.layers.map((layer) => layer.mesh)).filter((mesh) => mesh.visible);
  }

  visible() {
    return [...this.parts].filter(([, part]) => part.isShown && part.layers.length).map(([name]) => name);
  }

  guessed() {
    return [...this.parts].filter(([, part]) => part.layers.some(({ mesh, isSeen }) => mesh.visible && !isSeen)).map(([name]) => name);
  }

  show(name, isShown) {
    const part = this.parts.get(name);
    part.isShown = isShown;
    this.refresh(part);
  }

  refresh(part) {
    const hasGuess = !this.hidesGuess && !(part.isUnsure && this.hidesUnsureGuess);
    for (const { mesh, isSeen } of part.layers) mesh.visible = part.isShown && (isSeen || hasGuess);
  }

  // All of the guess, and that of things of which the network was not sure.
  hideGuess(hides, hidesUnsure) {
    this.hidesGuess = hides;
    this.hidesUnsureGuess = hidesUnsure;
    for (const part of this.parts.values()) this.refresh(part);
  }

  hatch(isOn) {
    HATCH.value = isOn ? 1 : 0;
  }

  colorBy(mode) {
    this.mode = mode;
    for (const { extras, layers } of this.parts.values())
      for (const layer of layers) {
        const byVertex = ["height", "confidence"].includes(mode) || (mode === "photo" && !layer.isSeen);
        const material = mode === "photo" ? layer.photo : layer.flat;
        if (byVertex) layer.mesh.geometry.setAttribute("color", this.shades(layer, mode) ?? layer.own ?? white(layer.mesh.geometry));
        if (material.vertexColors !== byVertex) material.needsUpdate = true;
        material.vertexColors = byVertex;
        if (material.map) material.vertexColors = false;
        else material.color.copy(byVertex ? new THREE.Color(0xffffff) : srgb(mode === "class" ? extras.class_color : extras.instance_color));
        layer.mesh.material = material;
      }
    this.mark(this.marked ?? null);
  }

  // Colours of vertices, made when they are first shown.
  shades(layer, mode) {
    if (mode === "height") layer.height ??= heights(layer.mesh.geometry, this.box.min.y, this.box.max.y);
    if (mode === "confidence") layer.ramp ??= ramped(layer.confidence);
    return { height: layer.height, confidence: layer.ramp }[mode] ?? null;
  }

  mark(name) {
    this.marked = name;
    for (const [other, { layers }] of this.parts)
      for (const { mesh } of layers) {
        const isMarked = other === name;
        if (mesh.material.emissive) mesh.material.emissive.set(isMarked ? 0x5a3a00 : 0x000000);
        else mesh.material.color.set(isMarked ? 0xffc070 : 0xffffff);
      }
  }

  hit(ray) {
    return ray.intersectObjects(this.meshes(), false)[0] ?? null;
  }

  seen() {
    return [...this.parts.values()].flatMap((part) => part.layers).filter((layer) => layer.isSeen).map((layer) => layer.mesh);
  }

  // What the photo shows, hidden by the visitor or not.
  seenFrom(ray) {
    const caster = new THREE.Raycaster();
    caster.ray.copy(ray);
    return caster.intersectObjects(this.seen(), false)[0] ?? null;
  }

  // A hundred of the points of the largest mesh that the photo shows.
  seenPoints() {
    const positions = this.seen().map((mesh) => mesh.geometry.getAttribute("position")).sort((a, b) => b.count - a.count);
    const largest = positions[0];
    const step = Math.max(1, Math.floor((largest?.count ?? 0) / 100));
    const found = [];
    for (let i = 0; i < (largest?.count ?? 0); i += step) found.push(new THREE.Vector3().fromBufferAttribute(largest, i));
    return found;
  }

  boxOf(names) {
    const box = new THREE.Box3();
    for (const name of names) {
      const { extras } = this.parts.get(name);
      if (extras.box_min_m) box.union(new THREE.Box3(new THREE.Vector3(...extras.box_min_m), new THREE.Vector3(...extras.box_max_m)));
    }
    return box;
  }

  // A thousand points or so of what is shown: enough to fit a view to.
  points() {
    const found = [];
    for (const mesh of this.meshes()) {
      const position = mesh.geometry.getAttribute("position");
      const step = Math.max(1, Math.floor(position.count / 500));
      for (let i = 0; i < position.count; i += step) found.push(new THREE.Vector3().fromBufferAttribute(position, i));
    }
    return found;
  }
}

// Lengths of a segment's facts, as its glTF node has them.
export function scaledExtras(extras, ratio) {
  const scaled = (value) => (Array.isArray(value) ? value.map(scaled) : value * ratio);
  const lengths = Object.entries(extras).filter(([name, value]) => name.endsWith("_m") && value !== null);
  return { ...extras, ...Object.fromEntries(lengths.map(([name, value]) => [name, scaled(value)])) };
}

// Whole numbers become metres once, so that whatever is computed here is in metres.
function flattened(mesh) {
  const { geometry, matrixWorld } = mesh;
  const whole = geometry.getAttribute("position");
  const metres = new Float32Array(whole.count * 3);
  for (let i = 0; i < whole.count; i++) metres.set([whole.getX(i), whole.getY(i), whole.getZ(i)], 3 * i);
  geometry.setAttribute("position", new THREE.BufferAttribute(metres, 3));
  const normal = geometry.getAttribute("normal");
  const unit = new Float32Array(normal.count * 3);
  for (let i = 0; i < normal.count; i++) unit.set([normal.getX(i), normal.getY(i), normal.getZ(i)], 3 * i);
  geometry.setAttribute("normal", new THREE.BufferAttribute(unit, 3));
  const pose = matrixWorld.clone();
  mesh.removeFromParent();
  mesh.position.set(0, 0, 0);
  mesh.scale.set(1, 1, 1);
  mesh.quaternion.identity();
  return pose;
}

const white = (geometry) => new THREE.BufferAttribute(new Float32Array(geometry.getAttribute("position").count * 3).fill(1), 3);

function ramped(confidences) {
  const colors = new Float32Array(confidences.length * 3);
  const color = new THREE.Color();
  for (let i = 0; i < confidences.length; i++) {
    const at = (confidences[i] / 255) * (RAMP.length - 1);
    const low = Math.min(Math.floor(at), RAMP.length - 2);
    color.lerpColors(RAMP[low], RAMP[low + 1], at - low).toArray(colors, 3 * i);
  }
  return new THREE.BufferAttribute(colors, 3);
}

function heights(geometry, low, high) {
  const position = geometry.getAttribute("position");
  const colors = new Float32Array(position.count * 3);
  const color = new THREE.Color();
  for (let i = 0; i < position.count; i++) {
    const t = Math.min(Math.max((position.getY(i) - low) / Math.max(high - low, 1e-6), 0), 1);
    color.setHSL(0.7 - 0.62 * t, 0.75, 0.35 + 0.25 * t, THREE.SRGBColorSpace).toArray(colors, 3 * i);
  }
  return new THREE.BufferAttribute(colors, 3);
}
