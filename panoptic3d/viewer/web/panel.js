// The list of segments, what is picked, and how sure the network is.
const $ = (id) => document.getElementById(id);
const FACTS = JSON.parse($("facts").textContent);

export function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const percent = (score) => (score === null ? "" : `${Math.round(100 * score)} %`);
export const isUnsure = ({ score, is_thing }) => is_thing && score !== null && score < FACTS.unsure_below;

export class Panel {
  constructor(model, act) {
    this.model = model;
    this.act = act; // {select, show, hover}
    this.rows = new Map();
  }

  fill() {
    const parts = [...this.model.parts].sort(([, a], [, b]) => b.extras.is_thing - a.extras.is_thing || b.extras.num_voxels - a.extras.num_voxels);
    for (const [name, { extras }] of parts) {
      const box = element("input", { type: "checkbox", checked: true, ariaLabel: `show ${name}` });
      box.addEventListener("change", () => this.act.show(name, box.checked));
      const button = element("button", { type: "button", textContent: name, ariaPressed: "false" });
      button.addEventListener("click", () => this.act.select(this.model.marked === name ? null : name));
      const score = element("span", { className: "score", textContent: `${isUnsure(extras) ? "unsure, " : ""}${percent(extras.score)}` });
      const row = element("li", { className: isUnsure(extras) ? "unsure" : "" }, element("label", { className: "tick" }, box), element("span", { className: "chip" }), button, score);
      row.dataset.name = name;
      this.rows.set(name, row);
      $("segments").append(row);
    }
    const used = new Map(parts.map(([, { extras }]) => [extras.class, extras.class_color]));
    for (const [name, color] of used) {
      const chip = element("span", { className: "chip" });
      chip.style.background = `rgb(${color.join(",")})`;
      $("legend").append(element("span", {}, chip, name));
    }
  }

  refresh() {
    for (const [name, row] of this.rows) {
      const { extras, isShown } = this.model.parts.get(name);
      const color = this.model.mode === "class" ? extras.class_color : extras.instance_color;
      row.querySelector(".chip").style.background = `rgb(${color.join(",")})`;
      row.querySelector("input").checked = isShown;
      const isMarked = this.model.marked === name;
      row.classList.toggle("selected", isMarked);
      row.querySelector("button").setAttribute("aria-pressed", isMarked);
    }
  }

  // What is picked, in words; read out by whoever listens rather than looks.
  tell(name) {
    const box = $("picked");
    box.replaceChildren();
    box.hidden = name === null;
    if (name === null) return;
    const { extras } = this.model.parts.get(name);
    const lines = [extras.size_m ? `${extras.size_m.map((v) => v.toFixed(2)).join(" × ")} m (width × height × depth)` : "no surface"];
    lines.push(extras.score === null ? "no score" : `score ${extras.score.toFixed(2)}${isUnsure(extras) ? ", unsure" : ""}`);
    if (extras.distance_m !== null) lines.push(`${extras.distance_m.toFixed(2)} m from the camera`);
    box.append(element("strong", { textContent: name }), ...lines.map((text) => element("div", { textContent: text })));
  }
}
