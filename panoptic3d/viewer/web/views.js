// Where one looks from: overview, as in the photo, plan, and standing in the room. Every view fits the window.
import * as THREE from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";

const MARGIN = 1.06;
const EYE_M = 1.6;
const STEP_RAD = 0.09;
const STEP_M = 0.15;

export class Views {
  constructor(canvas, facts, model, photos, draw) {
    this.facts = facts;
    this.model = model;
    this.photos = photos;
    this.draw = draw;
    this.camera = new THREE.PerspectiveCamera(50, 1, 0.03, 200);
    this.up = new THREE.Vector3(...facts.up).normalize(); // glTF frame
    this.camera.up.copy(this.up);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.addEventListener("change", draw);
    this.kind = "overview";
  }

  // Sideways, in front and up, as the room has them: in front is where the photo looked.
  axes() {
    const ahead = new THREE.Vector3(0, 0, -1).addScaledVector(this.up, this.up.z).normalize();
    return { ahead, right: new THREE.Vector3().crossVectors(ahead, this.up).normalize(), up: this.up };
  }

  resize(width, height) {
    this.camera.aspect = width / Math.max(height, 1);
    this.camera.updateProjectionMatrix();
    if (!this.isMoved) this.look(this.kind);
  }

  // The kinds of the toolbar. A view that nobody has moved since is fitted again when the window changes.
  look(kind) {
    this.kind = kind;
    this.isMoved = false;
    this.controls.enabled = true;
    const { ahead, right, up } = this.axes();
    if (kind === "photo") this.lookAsPhoto();
    else if (kind === "walk") this.stand(ahead);
    else if (kind === "plan") this.fit(up.clone().negate().addScaledVector(ahead, 0.001), 12);
    else this.fit(ahead.clone().multiplyScalar(0.82).addScaledVector(up, -0.45).addScaledVector(right, -0.25), 42);
    this.draw();
  }

  lookAsPhoto() {
    const { width, height, fx_px, fy_px } = this.photos.current.camera;
    const tall = height / 2 / fy_px;
    const wide = width / 2 / fx_px;
    this.lens(2 * Math.atan(Math.max(tall, wide / this.camera.aspect)) * (180 / Math.PI));
    const { eye, top, ahead } = this.photos.stance(this.photos.shown, this.model.scale);
    const [x, y, z] = this.facts.focus_m;
    const away = new THREE.Vector3(x, -y, -z).multiplyScalar(this.model.scale).sub(eye).dot(ahead);
    this.camera.up.copy(top); // as the photographer held it
    this.camera.position.copy(eye);
    this.controls.target.copy(eye).addScaledVector(ahead, Math.max(0.5, away));
    this.controls.update();
  }

  // After the scene has become larger or smaller: what is looked at looks as before, but whoever stands in it keeps his height.
  scaleBy(ratio) {
    if (this.kind === "walk" && !this.isMoved) return this.look("walk");
    this.camera.position.multiplyScalar(ratio);
    this.controls.target.multiplyScalar(ratio);
    this.controls.update();
    this.draw();
  }

  stand(ahead) {
    this.camera.up.copy(this.up);
    this.lens(65);
    const floor = this.floorHeight();
    const { up } = this;
    const eye = up.clone().multiplyScalar(floor + EYE_M);
    this.camera.position.copy(eye);
    this.controls.target.copy(eye).addScaledVector(ahead, 0.4).addScaledVector(up, -0.06);
    this.controls.update();
  }

  floorHeight() {
    const along = this.model.points().map((point) => point.dot(this.up)).sort((a, b) => a - b);
    return along[Math.floor(along.length * 0.02)] ?? -EYE_M;
  }

  lens(fov) {
    this.camera.fov = fov;
    this.camera.updateProjectionMatrix();
  }

  // The nearest place from which all that is shown lies in the window, looking along `direction`.
  fit(direction, fov, points = this.model.points()) {
    this.camera.up.copy(this.up);
    this.lens(fov);
    const { ahead } = this.axes();
    const forward = direction.clone().normalize();
    const right = new THREE.Vector3().crossVectors(forward, Math.abs(forward.dot(this.up)) > 0.99 ? ahead : this.up).normalize();
    const top = new THREE.Vector3().crossVectors(right, forward);
    const tall = Math.tan((fov * Math.PI) / 360) / MARGIN;
    const wide = tall * this.camera.aspect;
    const all = points.length ? points : [new THREE.Vector3(0, 0, -2)];
    const reach = { left: -Infinity, right: -Infinity, down: -Infinity, up: -Infinity };
    for (const point of all) {
      const [x, y, z] = [point.dot(right), point.dot(top), point.dot(forward)];
      reach.right = Math.max(reach.right, x - wide * z);
      reach.left = Math.max(reach.left, -x - wide * z);
      reach.up = Math.max(reach.up, y - tall * z);
      reach.down = Math.max(reach.down, -y - tall * z);
    }
    const back = Math.min(-(reach.right + reach.left) / 2 / wide, -(reach.up + reach.down) / 2 / tall);
    const eye = forward.clone().multiplyScalar(back);
    eye.addScaledVector(right, (reach.right - reach.left) / 2).addScaledVector(top, (reach.up - reach.down) / 2);
    this.camera.position.copy(eye);
    const middle = all.reduce((sum, point) => sum + point.dot(forward), 0) / all.length;
    this.controls.target.copy(eye).addScaledVector(forward, Math.max(middle - back, 0.3));
    this.controls.update();
  }

  // By the keyboard: around the target, towards it, and beside it.
  orbit(across, down) {
    const offset = this.camera.position.clone().sub(this.controls.target);
    const turn = new THREE.Quaternion().setFromUnitVectors(this.camera.up, new THREE.Vector3(0, 1, 0));
    const sphere = new THREE.Spherical().setFromVector3(offset.applyQuaternion(turn));
    sphere.theta += across * STEP_RAD;
    sphere.phi += down * STEP_RAD;
    sphere.makeSafe();
    offset.setFromSpherical(sphere).applyQuaternion(turn.invert());
    this.camera.position.copy(this.controls.target).add(offset);
    this.moved();
  }

  zoom(factor) {
    this.camera.position.sub(this.controls.target).multiplyScalar(factor).add(this.controls.target);
    this.moved();
  }

  walk(across, forward) {
    const ahead = this.camera.getWorldDirection(new THREE.Vector3()).projectOnPlane(this.camera.up).normalize();
    const right = new THREE.Vector3().crossVectors(ahead, this.camera.up);
    const way = ahead.multiplyScalar(forward * STEP_M).addScaledVector(right, across * STEP_M);
    this.camera.position.add(way);
    this.controls.target.add(way);
    this.moved();
  }

  moved() {
    this.isMoved = true;
    this.controls.update();
    this.draw();
  }
}
