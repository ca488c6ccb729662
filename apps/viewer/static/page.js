// The page's elements: found, made, written on, painted on. What a server says becomes text, never HTML.

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Say a sentence below the pictures. The same one is not written again: a screen reader would read it out again. */
export function say(words, kind = "") {
  $("words").dataset.kind = kind;
  if ($("words").textContent !== words) $("words").textContent = words;
}

/** Say beside the title how the run stands, and return whether that is news: "live", "paused" or "lost". */
export function showLink(state, words) {
  const root = document.documentElement, isNews = root.dataset.link !== state;
  root.dataset.link = state;
  if ($("link").textContent !== words) $("link").textContent = words;
  return isNews;
}

/** Make a canvas as fine as the screen, and return its pen and its size, both in CSS pixels. */
export function penOn(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const fine = window.devicePixelRatio || 1;
  const wide = Math.max(1, Math.round(width * fine)), high = Math.max(1, Math.round(height * fine));
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const pen = canvas.getContext("2d");
  pen.setTransform(wide / Math.max(1, width), 0, 0, high / Math.max(1, height), 0, 0);
  return { pen, width, height };
}
