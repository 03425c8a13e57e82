// Bundles main.js with three.js into one file, and writes into its first line what it was made from: a test compares that.
import { createHash } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { build } from "esbuild";

const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;
const sources = readdirSync(".").filter((name) => name.endsWith(".js")).sort();
const source = createHash("sha256").update(Buffer.concat(sources.map((name) => readFileSync(name)))).digest("hex");
await build({
  entryPoints: ["main.js"],
  outfile: "../assets/page.js",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  legalComments: "none",
  banner: {
    js: `/* panoptic3d page; three.js ${version("three")} (MIT, THREE-LICENSE.txt); sources sha256 ${source} */`,
  },
});
copyFileSync("node_modules/three/LICENSE", "../assets/THREE-LICENSE.txt");
