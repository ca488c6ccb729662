// One view a source, all side by side or one of them alone. What is not shown is not watched.

import { makeDrawable } from "./drawing.js";
import { $, make } from "./page.js";
import { View } from "./view.js";

const ALL = -1;

export class Stage {
  views = [];
  #names = null;
  #hooks;

  /**
   * `hooks` are those of the views; follow(view, number, place); chosen(), when others are shown than before; and
   * looked(), when somebody begins or ends to look at them.
   */
  constructor(hooks) {
    this.#hooks = hooks;
    document.addEventListener("visibilitychange", () => this.#look());
    window.addEventListener("resize", () => this.views.forEach((view) => view.paintSoon()));
  }

  get shown() {
    return this.views.filter((view) => !view.figure.hidden);
  }

  /** Lay out the views of these sources; those that are there already go on. */
  layOut(names, draws) {
    const key = JSON.stringify([names, draws]);
    for (const view of this.views) view.restart();
    if (this.#names === key) return this.#look();
    this.#names = key;
    for (const view of this.views) view.close();
    const several = names.length > 1;
    // Two cameras may have one name, so several are numbered.
    const titles = names.map((name, lane) => (several ? `${lane + 1}  ${name}` : name));
    this.views = titles.map((title, lane) => new View(lane, title, several, this.#hooks));
    if (draws) for (const view of this.views) makeDrawable(view, this.#hooks.follow);
    $("views").replaceChildren(...this.views.map((view) => view.figure));
    $("tabs").hidden = !several;
    $("tabs").replaceChildren(this.#tab("All", ALL), ...this.views.map((view) => this.#tab(view.title, view.lane)));
    this.#choose(ALL);
  }

  #tab(title, lane) {
    return make("button", { type: "button", textContent: title, title, onclick: () => this.#choose(lane) });
  }

  #choose(lane) {
    [...$("tabs").children].forEach((tab, n) => tab.setAttribute("aria-pressed", String(n - 1 === lane)));
    for (const view of this.views) view.figure.hidden = lane !== ALL && view.lane !== lane;
    $("views").classList.toggle("many", this.shown.length > 1);
    this.#hooks.chosen();
    this.#look();
  }

  #look() {
    for (const view of this.views) view.discount();
    this.#hooks.looked();
  }
}
