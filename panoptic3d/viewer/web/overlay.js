// Names, boxes with their sizes, and measured lengths, laid over the picture.
import * as THREE from "three";

const SIDES = [[0, 1], [2, 3], [4, 5], [6, 7], [0, 2], [1, 3], [4, 6], [5, 7], [0, 4], [1, 5], [2, 6], [3, 7]];
const metres = (value) => `${value.toFixed(2)} m`;

export class Overlay {
  constructor(layer, world, model) {
    this.layer = layer;
    this.model = model;
    this.lines = new THREE.Group();
    this.measures = new THREE.Group();
    world.add(this.lines, this.measures);
    this.tags = []; // {element, at}
    this.ends = [];
    this.shows = { labels: false, boxes: false };
  }

  // Anew whenever what is shown changes.
  refresh() {
    for (const { element } of this.tags) element.remove();
    this.tags = [];
    this.lines.clear();
    for (const name of this.model.visible()) {
      const { extras } = this.model.parts.get(name);
      if (!extras.box_min_m || (!extras.is_thing && this.model.marked !== name)) continue;
      const [low, high] = [extras.box_min_m, extras.box_max_m];
      const at = new THREE.Vector3((low[0] + high[0]) / 2, high[1], (low[2] + high[2]) / 2);
      const size = extras.size_m.map((v) => v.toFixed(2)).join(" × ");
      if (this.shows.boxes) this.lines.add(box(low, high, extras.instance_color));
      if (this.shows.labels || this.shows.boxes) this.tag([this.shows.labels && name, this.shows.boxes && `${size} m`].filter(Boolean).join("\n"), at);
    }
    for (const child of this.measures.children) this.tag(metres(child.userData.length), child.userData.middle, "measure");
  }

  tag(text, at, kind = "") {
    const element = document.createElement("div");
    element.className = `tag ${kind}`;
    element.textContent = text;
    this.layer.append(element);
    this.tags.push({ element, at });
  }

  // A tag that would cover another one waits.
  place(camera, width, height) {
    const taken = [];
    for (const { element, at } of this.tags) {
      const seen = at.clone().project(camera);
      const isSeen = seen.z < 1 && Math.abs(seen.x) < 1 && Math.abs(seen.y) < 1;
      const [x, y] = [((seen.x + 1) / 2) * width, ((1 - seen.y) / 2) * height];
      const lines = element.textContent.split("\n");
      const [w, h] = [Math.max(...lines.map((line) => line.length)) * 6.6 + 14, lines.length * 18];
      const isFree = taken.every(([a, b, c, d]) => Math.abs(x - a) > (w + c) / 2 || Math.abs(y - b) > (h + d) / 2);
      element.hidden = !(isSeen && isFree);
      if (!element.hidden) taken.push([x, y, w, h]);
      if (!element.hidden) element.style.transform = `translate(-50%, -110%) translate(${x}px, ${y}px)`;
    }
  }

  // The first end, then the second; returns the length once there are two.
  measure(point) {
    this.ends.push(point.clone());
    if (this.ends.length < 2) return null;
    const [one, other] = this.ends;
    this.ends = [];
    this.measures.add(ruler(one, other));
    this.refresh();
    return one.distanceTo(other);
  }

  scaleBy(ratio) {
    for (const end of this.ends) end.multiplyScalar(ratio);
    const lines = this.measures.children.map(({ userData: { ends } }) => ruler(...ends.map((end) => end.multiplyScalar(ratio))));
    this.measures.clear();
    if (lines.length) this.measures.add(...lines);
    this.refresh();
  }

  // Of the length measured last; null while its second end is missing.
  lastEnds() {
    return this.ends.length ? null : this.measures.children.at(-1)?.userData.ends ?? null;
  }

  forgetMeasures() {
    this.ends = [];
    this.measures.clear();
    this.refresh();
  }
}

function ruler(one, other) {
  const geometry = new THREE.BufferGeometry().setFromPoints([one, other]);
  const line = new THREE.Line(geometry, new THREE.LineBasicMaterial({ color: 0xc43d00, depthTest: false }));
  line.renderOrder = 2;
  line.userData = { ends: [one, other], length: one.distanceTo(other), middle: one.clone().add(other).multiplyScalar(0.5) };
  return line;
}

function box(low, high, color) {
  const corner = (n) => new THREE.Vector3(n & 4 ? high[0] : low[0], n & 2 ? high[1] : low[1], n & 1 ? high[2] : low[2]);
  const geometry = new THREE.BufferGeometry().setFromPoints(SIDES.flatMap(([a, b]) => [corner(a), corner(b)]));
  const [r, g, b] = color;
  return new THREE.LineSegments(geometry, new THREE.LineBasicMaterial({ color: new THREE.Color().setRGB(r / 255, g / 255, b / 255, THREE.SRGBColorSpace) }));
}
