// The GLB that the page saves, at the scale that the page has.
import { scaledExtras } from "./model.js";

const JSON_CHUNK = 12; // behind the header of magic, version, and length

// All root nodes below a new one that is `scale` times as large; their facts follow.
export function scaledGlb(bytes, scale) {
  if (scale === 1) return bytes;
  const length = new DataView(bytes).getUint32(JSON_CHUNK, true);
  const tree = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, JSON_CHUNK + 8, length)));
  for (const node of tree.nodes) if (node.extras) node.extras = scaledExtras(node.extras, scale);
  for (const scene of tree.scenes) scene.nodes = [tree.nodes.push({ name: "scaled", scale: [scale, scale, scale], children: scene.nodes }) - 1];
  tree.asset.extras = { ...tree.asset.extras, scaled_by: scale };
  return joined(new TextEncoder().encode(JSON.stringify(tree)), new Uint8Array(bytes, JSON_CHUNK + 8 + length), bytes);
}

function joined(json, rest, before) {
  const padded = Math.ceil(json.length / 4) * 4;
  const made = new Uint8Array(JSON_CHUNK + 8 + padded + rest.length).fill(0x20);
  const view = new DataView(made.buffer);
  made.set(new Uint8Array(before, 0, JSON_CHUNK + 8));
  view.setUint32(8, made.length, true);
  view.setUint32(JSON_CHUNK, padded, true);
  made.set(json, JSON_CHUNK + 8);
  made.set(rest, JSON_CHUNK + 8 + padded);
  return made.buffer;
}
