// How old pictures are: the server's clock held against ours, and the ages of the last minute, here and when answered.

export const MINUTE_MS = 60_000;
const SETTLING_MS = 1000; // then the page is still being built, and ages are the browser's, not the run's

export class Clock {
  #best = null; // the way there and back that was shortest, how far the clocks are apart by it, and when that was

  forget() {
    this.#best = null;
  }

  hear({ t, server_ms }) {
    const now = performance.now(), way = now - t, best = this.#best;
    // The shortest way says best how far the clocks are apart; an old opinion slowly loses its weight.
    if (!best || way <= best.way + (now - best.now) / 20_000) this.#best = { way, now, apart: server_ms - (t + now) / 2 };
  }

  /** Return how old what the server captured then is at a moment here; null while the clocks are unknown. */
  age(at, captured_ms) {
    return this.#best && Math.max(0, at + this.#best.apart - captured_ms);
  }
}

export class Ages {
  answered = []; // {at, p50, p95}: a second each, from the run's ledger
  #shown = []; // {at, ms}: when a picture was drawn here, and how old it then was
  #since = 0;

  /** Begin with what the run remembers of its last minutes. */
  begin(history) {
    const now = performance.now(), newest = history.at(-1)?.at_s ?? 0;
    this.#since = now;
    this.answered = [];
    for (const second of history) this.answer(second, now - (newest - second.at_s) * 1000);
  }

  answer({ age }, at) {
    if (age) this.answered.push({ at, p50: age.p50_ms, p95: age.p95_ms });
    forget(this.answered, at);
  }

  show(at, ms) {
    if (at > this.#since + SETTLING_MS) this.#shown.push({ at, ms });
    forget(this.#shown, at);
  }

  forgetShown() {
    this.#shown.length = 0;
  }

  /** Return the ages of the pictures that were shown in the last second, the youngest first. */
  lately(now) {
    return sorted(this.#shown.filter(({ at }) => at > now - 1000));
  }

  /** Return {at, p50, p95} of what was shown in each second of the last minute, the oldest first. */
  shown(now) {
    const seconds = new Map();
    for (const age of this.#shown) {
      const back = Math.floor((now - age.at) / 1000);
      if (!seconds.has(back)) seconds.set(back, []);
      seconds.get(back).push(age);
    }
    const recent = [...seconds].filter(([back]) => back < 60).sort(([one], [other]) => other - one);
    return recent.map(([back, ages]) => {
      const ms = sorted(ages);
      return { at: now - back * 1000 - 500, p50: share(ms, 0.5), p95: share(ms, 0.95) };
    });
  }
}

const sorted = (ages) => ages.map(({ ms }) => ms).sort((one, other) => one - other);

export const share = (ms, part) => ms[Math.min(ms.length - 1, Math.floor(part * ms.length))];

function forget(ages, now) {
  while (ages.length && ages[0].at < now - MINUTE_MS - 1000) ages.shift();
}
