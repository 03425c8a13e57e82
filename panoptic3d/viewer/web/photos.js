// The photos of a scene: a pyramid where each was taken, its picture, and the one that is looked through.
import * as THREE from "three";

const DEPTH_M = 0.35; // of a pyramid
const SHOWN = 0xe0561b;
const OTHER = 0x7d3cb5;
const HALF_TURN = new THREE.Matrix4().makeScale(1, -1, -1); // glTF frame from the camera frame, and back

export class Photos {
  constructor(facts) {
    this.all = facts.photos.map((photo) => ({ ...photo, pose: poseOf(photo.scene_from_camera) }));
    this.first = facts.first_photo;
    this.shown = this.first;
    this.world = new THREE.Group();
    this.pyramids = this.all.map(({ camera, pose }, number) => pyramid(camera, pose, number));
    this.world.add(...this.pyramids);
    this.show(this.first);
  }

  get current() {
    return this.all[this.shown];
  }

  show(number) {
    this.shown = number;
    this.pyramids.forEach(({ userData }, n) => userData.lines.material.color.set(n === number ? SHOWN : OTHER));
  }

  nameOf(number) {
    return this.all.length > 1 ? `photo ${number + 1}${this.all[number].name ? `: ${this.all[number].name}` : ""}` : "the photo";
  }

  // Eye, direction and top of a photo, in the scene as large as it is shown.
  stance(number, scale = 1) {
    const [right, top, back] = [0, 1, 2].map(() => new THREE.Vector3());
    const { pose } = this.all[number];
    pose.extractBasis(right, top, back);
    return { eye: new THREE.Vector3().setFromMatrixPosition(pose).multiplyScalar(scale), right, top, ahead: back.negate() };
  }

  // Of a pixel of the shown photo, from 0 to 1 across and down.
  rayOf(across, down, scale) {
    const { fx_px, fy_px, cx_px, cy_px, width, height } = this.current.camera;
    const { eye, right, top, ahead } = this.stance(this.shown, scale);
    const way = ahead.addScaledVector(right, (across * width - 0.5 - cx_px) / fx_px).addScaledVector(top, -(down * height - 0.5 - cy_px) / fy_px);
    return new THREE.Raycaster(eye, way.normalize());
  }

  // The photo whose pyramid a ray meets first, and how far away. Whoever stands in a pyramid looks out of it.
  hit(ray) {
    if (!this.world.visible) return null;
    const away = this.pyramids.filter(({ position }) => position.distanceTo(ray.ray.origin) > DEPTH_M);
    const found = ray.intersectObjects(away.map(({ userData }) => userData.body), false)[0];
    return found ? { number: found.object.userData.number, distance: found.distance } : null;
  }

  scaleTo(scale) {
    this.pyramids.forEach((one, number) => one.position.copy(this.stance(number, scale).eye));
  }
}

function poseOf(rows) {
  return new THREE.Matrix4().set(...rows.flat()).premultiply(HALF_TURN).multiply(HALF_TURN);
}

function pyramid({ fx_px, fy_px, cx_px, cy_px, width, height }, pose, number) {
  const corner = (u, v) => new THREE.Vector3(((u - cx_px) / fx_px) * DEPTH_M, -((v - cy_px) / fy_px) * DEPTH_M, -DEPTH_M);
  const corners = [corner(-0.5, -0.5), corner(width - 0.5, -0.5), corner(width - 0.5, height - 0.5), corner(-0.5, height - 0.5)];
  const eye = new THREE.Vector3();
  const edges = corners.flatMap((c, i) => [eye, c, c, corners[(i + 1) % 4]]);
  const lines = new THREE.LineSegments(new THREE.BufferGeometry().setFromPoints(edges), new THREE.LineBasicMaterial());
  const faces = [...corners.flatMap((c, i) => [eye, c, corners[(i + 1) % 4]]), ...[0, 1, 2, 0, 2, 3].map((i) => corners[i])];
  const body = new THREE.Mesh(new THREE.BufferGeometry().setFromPoints(faces), new THREE.MeshBasicMaterial({ visible: false, side: THREE.DoubleSide }));
  body.userData = { number };
  const made = new THREE.Group().add(lines, body);
  made.userData = { lines, body };
  made.applyMatrix4(pose);
  return made;
}
