// What stands beside the pictures: the targets, the best classes, and the run's figures of the last second.

import { HINT } from "./drawing.js";
import { colourOf, percent } from "./overlay.js";
import { $, make } from "./page.js";

/** Show the figures of the sources that are seen. */
export function showFigures(state, lanes) {
  const sum = (of) => lanes.reduce((all, lane) => all + of(lane), 0);
  for (const key of ["answered", "dropped", "late", "reconnects"])
    $(key).textContent = sum((lane) => state.sources[lane][key]).toLocaleString("en");
  $("fps").textContent = sum((lane) => state.fps[lane]).toFixed(1);
  $("event").textContent = state.event ? `Last told at ${state.event}.` : "";
}

/** List the targets of these views, each with a button that calls `stop(view, id, name)`. */
export function listTargets(views, numbered, stop) {
  const list = $("target-list"), kept = new Set();
  for (const view of views)
    for (const track of view.header?.result.tracks ?? []) {
      const key = `${view.lane}-${track.id}`;
      kept.add(key);
      const name = numbered ? `Source ${view.lane + 1}, target ${track.id}` : `Target ${track.id}`;
      const row = list.querySelector(`[data-key="${key}"]`) ?? addTarget(key, name, () => stop(view, track.id, name));
      row.querySelector(".swatch").style.background = colourOf(track);
      row.querySelector(".state").textContent = `${track.state}, ${percent(track.score)}`;
    }
  for (const row of [...list.children]) if (!kept.has(row.dataset.key)) row.remove();
  $("hint").textContent = kept.size ? "" : "Nothing is followed. " + HINT;
}

function addTarget(key, name, stop) {
  const said = make("p", { className: "said" }, make("b", { textContent: name }), make("span", { className: "state" }));
  const button = make("button", { type: "button", textContent: "Stop", onclick: stop });
  button.setAttribute("aria-label", `Stop following ${name.toLowerCase()}`);
  const row = make("li", {}, make("i", { className: "swatch" }), said, button);
  row.dataset.key = key;
  $("target-list").append(row);
  return row;
}

/** List the best classes of the only view that is seen; several show theirs in their pictures. */
export function listBest(views) {
  const top = views.length === 1 ? views[0].header?.result.top ?? [] : [];
  $("best").hidden = !top.length;
  const list = $("best-list");
  while (list.children.length > top.length) list.lastChild.remove();
  while (list.children.length < top.length) list.append(make("li", {}, make("i"), make("span"), make("b")));
  top.forEach(({ name, score }, n) => {
    const [bar, words, share] = list.children[n].children;
    bar.style.width = `${Math.min(1, score) * 100}%`;
    words.textContent = words.title = name;
    share.textContent = percent(score);
  });
}
