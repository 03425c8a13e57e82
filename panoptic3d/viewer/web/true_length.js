// A measured length whose true value is known: the page follows, and says which call makes the scene itself at that scale.
import * as THREE from "three";

const $ = (id) => document.getElementById(id);
const [SHORTEST_M, LONGEST_M] = [0.01, 100]; // as KnownLength has them
const [LEAST, MOST] = [0.02, 50]; // a factor beyond is a slip

export class TrueLength {
  constructor(model, facts, act) {
    this.model = model;
    this.facts = facts;
    this.act = act; // {scaled(ratio), say(text)}
    this.ends = null; // of the length measured last
    $("set-length").addEventListener("click", () => this.set($("true-length").value));
    $("true-length").addEventListener("keydown", (event) => event.key === "Enter" && this.set($("true-length").value));
    $("as-predicted").addEventListener("click", () => this.scaleTo(1, null));
    this.tell(null);
  }

  // Two points of the scene, or null where nothing is measured.
  measured(ends) {
    this.ends = ends;
    $("known").hidden = ends === null;
    if (ends === null) return;
    $("measured").textContent = `${ends[0].distanceTo(ends[1]).toFixed(2)} m`;
    $("true-length").value = "";
  }

  set(text) {
    const metres = Number(text.trim().replace(",", "."));
    const length = this.ends[0].distanceTo(this.ends[1]);
    const scale = (this.model.scale * metres) / length;
    if (!(metres >= SHORTEST_M && metres <= LONGEST_M)) return this.refuse(`Give the true length in metres, from ${SHORTEST_M} to ${LONGEST_M}.`);
    if (!(scale >= LEAST && scale <= MOST)) return this.refuse(`The scene would be ${scale.toPrecision(2)} times as large; check the two points and the length.`);
    this.scaleTo(scale, metres);
  }

  refuse(sentence) {
    $("length-wrong").textContent = sentence;
    $("true-length").setAttribute("aria-invalid", true);
    this.act.say(sentence);
  }

  // `metres` are the true length between the ends; null leads back to what was predicted.
  scaleTo(scale, metres) {
    $("length-wrong").textContent = "";
    $("true-length").removeAttribute("aria-invalid");
    const ratio = scale / this.model.scale;
    this.model.scaleTo(scale);
    this.act.scaled(ratio);
    if (this.ends) $("measured").textContent = `${this.ends[0].distanceTo(this.ends[1]).toFixed(2)} m`;
    this.tell(metres);
    (metres === null ? $("scale-told") : $("command")).scrollIntoView({ block: "nearest" });
  }

  tell(metres) {
    const { call, note } = this.facts.anew;
    const { scale } = this.model;
    const isScaled = metres !== null;
    const sentences = isScaled ? [`This page and the GLB that it saves: × ${scale.toPrecision(4)}.`] : ["As predicted. If you know a length: Measure it, then type its true value."];
    const length = isScaled && call ? this.lengthInPhoto(metres) : null;
    if (length?.isOther) sentences.push("The photo does not show both ends, so the call has two other points: right within a few per cent.");
    if (length) sentences.push("The scene itself at this scale:");
    $("command").textContent = length ? call.replace("{length}", length.text) : "";
    $("command").hidden = !length;
    if (isScaled && call && !length) sentences.push("The photo shows no two points of this scene, so no call can say its length.");
    if (isScaled && note) sentences.push(note);
    $("scale-told").textContent = sentences.join(" ");
    $("as-predicted").hidden = !isScaled;
    if (isScaled) this.act.say(`scaled by ${scale.toPrecision(3)}`);
  }

  // X1,Y1,X2,Y2,METRES of the ends, or of two other points that the photo shows.
  lengthInPhoto(metres) {
    const isSeen = this.ends.every((end) => this.isInPhoto(end));
    const ends = isSeen ? this.ends : this.farApart();
    if (!ends) return null;
    const pixels = ends.flatMap((end) => this.pixelOf(end)).map((value) => value.toFixed(1));
    const told = isSeen ? metres : ends[0].distanceTo(ends[1]);
    return { text: [...pixels, Number(told.toPrecision(5))].join(","), isOther: !isSeen };
  }

  // In pixels of the photo at its full size, centres at whole numbers.
  pixelOf({ x, y, z }) {
    const { fx_px, fy_px, cx_px, cy_px, width, height } = this.facts.camera;
    const [full_width, full_height] = this.facts.anew.photo_size;
    const [u, v] = [(fx_px * x) / -z + cx_px, (fy_px * -y) / -z + cy_px];
    return [((u + 0.5) * full_width) / width - 0.5, ((v + 0.5) * full_height) / height - 0.5];
  }

  // In front of the camera, within the picture, and first on the way there.
  isInPhoto(point) {
    if (point.z >= 0) return false;
    const [u, v] = this.pixelOf(point);
    const [width, height] = this.facts.anew.photo_size;
    if (u < 0 || v < 0 || u > width - 1 || v > height - 1) return false;
    const hit = this.model.seenFrom(new THREE.Ray(new THREE.Vector3(), point.clone().normalize()));
    return hit !== null && Math.abs(hit.distance / point.length() - 1) < 0.02;
  }

  // The leftmost and the rightmost point of what the photo shows most of.
  farApart() {
    const points = this.model.seenPoints().filter((point) => this.isInPhoto(point));
    if (points.length < 2) return null;
    const across = points.map((point) => [this.pixelOf(point)[0], point]).sort(([a], [b]) => a - b);
    return [across[0][1], across[across.length - 1][1]];
  }
}
