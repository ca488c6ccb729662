// One source: a canvas with its newest picture. One picture is under way and one in the decoder, never a queue; while a
// box is drawn on it (`stroke`) the picture stands still.

import { boxOf } from "./drawing.js";
import { paintAnswer, paintStroke } from "./overlay.js";
import { make, penOn, say } from "./page.js";

const SILENCE_MS = 4000;

export class View {
  header = null; // of the picture that is seen, as apps/viewer/message.py tells
  number = 0; // of that picture for this server; 0 where it came from one that has gone
  stroke = null;
  #hooks;
  #bitmap = null;
  #next = null; // what came while the decoder was busy or the picture stood still
  #decoding = false;
  #planned = false;
  #fresh = null; // of a picture that was not painted yet: whether its age says something
  #paintedAt = 0;
  #lookedAt = 0; // since then pictures are asked for
  #sizes;

  /** `hooks` has taken(header), when the next picture may come, and painted(view, at, isTimely) for each new one. */
  constructor(lane, title, isNamed, hooks) {
    Object.assign(this, { lane, title });
    this.#hooks = hooks;
    this.canvas = make("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `Picture of ${title}`);
    this.empty = make("p", { className: "empty", textContent: "Waiting for a picture" });
    this.silence = make("p", { className: "silence", hidden: true });
    this.figure = make("figure", { className: "view" }, this.canvas, this.empty, this.silence);
    if (isNamed) this.figure.append(make("figcaption", { textContent: title, title }));
    this.#sizes = new ResizeObserver(() => this.paintSoon());
    this.#sizes.observe(this.canvas);
  }

  get isSeen() {
    return !this.figure.hidden && !document.hidden;
  }

  close() {
    this.#bitmap?.close();
    this.#sizes.disconnect();
    this.figure.remove();
  }

  /** Forget what the server that has gone sent, but not the picture that is seen. */
  restart() {
    Object.assign(this, { number: 0, stroke: null });
    this.#next = null;
  }

  /** Take a picture: show it soon, or as soon as the picture may change. */
  take(header, jpeg) {
    const next = { header, jpeg, isTimely: !this.stroke };
    if (this.#decoding || this.stroke) this.#next = next;
    else this.#decode(next);
  }

  /** Go on after a stroke. */
  leave() {
    this.stroke = null;
    this.paintSoon();
    this.#goOn();
  }

  /** Count no age of what came so far: nobody looked. */
  discount() {
    this.#lookedAt = performance.now();
    if (this.#fresh) this.#fresh.isTimely = false;
    if (this.#next) this.#next.isTimely = false;
  }

  /** Say on the picture that it is old, where others should have come. */
  showSilence(now, areExpected) {
    if (!areExpected || this.stroke) this.#lookedAt = now;
    const seconds = Math.floor((now - this.#paintedAt) / 1000);
    this.silence.hidden = !this.#bitmap || now - Math.max(this.#paintedAt, this.#lookedAt) < SILENCE_MS;
    if (!this.silence.hidden) this.silence.textContent = `No new picture for ${seconds} s`;
  }

  paintSoon() {
    if (this.#planned) return;
    this.#planned = true;
    requestAnimationFrame(() => {
      this.#planned = false;
      if (this.#bitmap && !this.figure.hidden) this.#paint();
    });
  }

  async #decode({ header, jpeg, isTimely }) {
    this.#decoding = true;
    this.#hooks.taken(header);
    try {
      const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
      if (this.stroke) return bitmap.close();
      this.#bitmap?.close();
      this.#bitmap = bitmap;
      this.header = header;
      this.#fresh = { isTimely: isTimely && this.isSeen };
      this.paintSoon();
    } catch (fault) {
      say(`A picture could not be read: ${fault.message}`, "bad");
    } finally {
      this.#decoding = false;
      this.#goOn();
    }
  }

  #goOn() {
    const next = this.#next;
    if (!next || this.#decoding || this.stroke) return;
    this.#next = null;
    this.#decode(next);
  }

  #paint() {
    const { canvas, header } = this;
    const [frameHeight, frameWidth] = header.size_hw;
    this.figure.style.setProperty("--ratio", String(frameWidth / frameHeight));
    this.empty.hidden = true;
    const { pen, width, height } = penOn(canvas);
    const scale = width / frameWidth;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.#bitmap, 0, 0, width, height);
    paintAnswer(pen, header.result, scale, { width, height });
    if (this.stroke) paintStroke(pen, boxOf(this.stroke), scale);
    this.number = header.number;
    // For tests and scripts: what the canvas shows.
    Object.assign(canvas.dataset, { index: header.index, source: header.source, result: JSON.stringify(header.result) });
    if (!this.#fresh) return;
    this.#paintedAt = performance.now();
    this.#hooks.painted(this, this.#paintedAt, this.#fresh.isTimely);
    this.#fresh = null;
  }
}
