// Drawing a box on a view: a stroke is the box, a click or tap a point; arrows and Enter do it without a pointer.
// The picture stands still meanwhile, so that the box belongs to the very frame that was seen.

import { say } from "./page.js";

export const HINT = "Draw a box around a target, or tap on it.";
const KEYS = "Enter begins a box, arrows move it, Shift and arrows size it, Enter follows, Escape leaves.";
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 0.02; // of the picture
const CLICK_PX = 6, TAP_PX = 12; // a shorter stroke is a point; fingers roll

/** Return left, top, right, bottom of a stroke. */
export const boxOf = ({ from, to }) => [
  Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]), Math.max(from[1], to[1]),
];

/** Let boxes be drawn on a view; `follow(view, number, place)` gets each, and the number of the picture below it. */
export function makeDrawable(view, follow) {
  const { canvas } = view;
  canvas.classList.add("draws");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", `Picture of ${view.title}. Draw a box around a target. With keys: ${KEYS}`);
  canvas.onpointerdown = (event) => {
    if (event.button || !view.header) return;
    if (view.stroke?.pointer) return view.leave(); // a second finger: they zoom
    canvas.setPointerCapture(event.pointerId);
    const at = placeOf(view, event);
    view.stroke = { from: at, to: at, pointer: event.pointerId };
    view.paintSoon();
  };
  canvas.onpointermove = (event) => {
    if (view.stroke?.pointer !== event.pointerId) return;
    view.stroke.to = placeOf(view, event);
    view.paintSoon();
  };
  canvas.onpointerup = (event) => {
    if (view.stroke?.pointer !== event.pointerId) return;
    const isPoint = lengthOf(view) < (event.pointerType === "touch" ? TAP_PX : CLICK_PX);
    end(view, isPoint ? view.stroke.to : boxOf(view.stroke), follow);
  };
  canvas.onpointercancel = canvas.onblur = () => view.leave();
  canvas.onfocus = () => canvas.matches(":focus-visible") && say(KEYS);
  canvas.onkeydown = (event) => keyed(view, event, follow);
}

function end(view, place, follow) {
  const { number } = view;
  view.leave();
  follow(view, number, place);
}

/** Return where an event is, in pixels of the frame. */
function placeOf(view, event) {
  const box = view.canvas.getBoundingClientRect(), [height, width] = view.header.size_hw;
  const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  return [within(0, 1, x) * width, within(0, 1, y) * height];
}

const within = (least, most, value) => Math.max(least, Math.min(most, value));

/** Return how long a stroke is on the screen. */
function lengthOf(view) {
  const [left, top, right, bottom] = boxOf(view.stroke);
  const scale = view.canvas.getBoundingClientRect().width / view.header.size_hw[1];
  return Math.hypot(right - left, bottom - top) * scale;
}

function keyed(view, event, follow) {
  const { key } = event, step = STEPS[key], { stroke, header } = view;
  if (!header || event.altKey || event.ctrlKey || event.metaKey) return;
  if (stroke ? !step && key !== "Enter" && key !== "Escape" : key !== "Enter") return;
  event.preventDefault();
  if (key === "Escape") return view.leave();
  if (step) return move(view, event.shiftKey ? ["to"] : ["from", "to"], step);
  const [height, width] = header.size_hw;
  if (!stroke) {
    view.stroke = { from: [width * 0.35, height * 0.35], to: [width * 0.65, height * 0.65], pointer: null };
    say(KEYS);
    view.paintSoon();
  } else end(view, boxOf(stroke), follow);
}

/** Move ends of a stroke together, as far as all of them stay in the picture. */
function move(view, ends, step) {
  const [height, width] = view.header.size_hw, { stroke } = view;
  const [across, down] = [width, height].map((size, axis) => {
    const places = ends.map((end) => stroke[end][axis]);
    return within(-Math.min(...places), size - Math.max(...places), step[axis] * size * STEP);
  });
  for (const end of ends) stroke[end] = [stroke[end][0] + across, stroke[end][1] + down];
  view.paintSoon();
}
