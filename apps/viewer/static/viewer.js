// The page of a run: the newest picture of each source on a canvas, what was answered drawn over it, orders sent back.
// The form of what comes is told in apps/viewer/message.py, of what goes in apps/viewer/requests.py.

const $ = (id) => document.getElementById(id);
const COLOURS = ["#28dc96", "#ffaa28", "#5aaaff", "#ff6ea0", "#be8cff"]; // as in the videos that are recorded
const WARNING = "#ffb21a", LOST = "#eb463c";
const MINUTE_MS = 60_000;
const CLICK_PX = 6; // a stroke shorter than this is a point
const decoder = new TextDecoder();

const run = { task: "", names: [], views: [], watched: null, paused: false, recording: false, over: false };
const screenAges = []; // {at, ms}: when a picture was drawn here, and how old it then was
let answerAges = []; // {at, p50, p95}: a second each, from the run's ledger
let clock = null; // the server's clock less ours, in ms, and how sure that is

// ---- the connection: one websocket, opened again whenever it is lost

let socket = null, retry_ms = 500, asked = 0;
const waiting = new Map(); // orders by number: what to do with their replies

function connect() {
  const url = new URL("live", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = url.hash = "";
  socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  socket.onmessage = (event) => (typeof event.data === "string" ? hear(JSON.parse(event.data)) : receive(event.data));
  socket.onclose = lost;
}

async function lost(event) {
  for (const reply of waiting.values()) reply({ ok: false, message: "The connection was lost before the answer came." });
  waiting.clear();
  clock = null;
  enable(false);
  link("lost", run.over ? "Ended" : "Reconnecting");
  if (event.code === 1013) say(`The server is busy: ${event.reason}.`, "bad");
  setTimeout(connect, retry_ms);
  retry_ms = Math.min(5000, retry_ms * 1.6);
  const answer = await fetch("icon.svg", { cache: "no-store" }).catch(() => null);
  if (answer?.status === 401) say("The server asks for its token: open the address that it printed once more.", "bad");
}

function send(data) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(data));
  return true;
}

function order(data) {
  return new Promise((reply) => {
    asked += 1;
    waiting.set(asked, reply);
    if (!send({ ...data, ask: asked })) {
      waiting.delete(asked);
      reply({ ok: false, message: "There is no connection at the moment." });
    }
  });
}

function hear(told) {
  if (told.type === "hello") welcome(told);
  else if (told.type === "state") showState(told);
  else if (told.type === "clock") setClock(told);
  else if (told.type === "end") {
    run.over = true;
    say(`The run has ended${told.why ? `: ${told.why}` : ""}. This page waits for the next one.`);
  } else if (told.type === "reply") {
    waiting.get(told.ask)?.(told);
    waiting.delete(told.ask);
  }
}

function welcome(told) {
  const same = run.task === told.task && JSON.stringify(run.names) === JSON.stringify(told.sources);
  Object.assign(run, { task: told.task, names: told.sources, over: false, since: performance.now() });
  retry_ms = 500;
  $("title").textContent = told.title;
  document.title = `${told.title} · edgevit`;
  $("targets").hidden = told.task !== "track";
  $("best").hidden = told.task !== "classify";
  if (!same) layOut();
  for (const view of run.views) Object.assign(view, { number: 0, next: null, stroke: null });
  answerAges = [];
  const now = performance.now();
  const newest = told.history.at(-1)?.at_s ?? 0;
  for (const second of told.history) remember(second, now - (newest - second.at_s) * 1000);
  clock = null;
  for (let n = 0; n < 4; n++) setTimeout(askClock, n * 150);
  link("live", "Live");
  say(told.task === "track" ? drawHint() : "");
  enable(true);
  watch();
}

function watch() {
  const lanes = run.views.filter((view) => !view.figure.hidden).map((view) => view.lane);
  send({ do: "watch", lanes: document.hidden ? [] : lanes });
}

const askClock = () => send({ do: "clock", t: performance.now() });

function setClock(told) {
  const now = performance.now(), way = now - told.t;
  // The shortest way there and back says best how far the clocks are apart; an old opinion slowly loses its weight.
  if (!clock || way <= clock.way + (now - clock.at) / 20_000) clock = { off: told.server_ms - (told.t + now) / 2, way, at: now };
}

// ---- pictures: one under way and one in the decoder for each source, never a queue

function receive(buffer) {
  const bytes = new DataView(buffer);
  if (decoder.decode(new Uint8Array(buffer, 0, 4)) !== "EVP1") return;
  const length = bytes.getUint32(4, true);
  const header = JSON.parse(decoder.decode(new Uint8Array(buffer, 8, length)));
  const view = run.views[header.lane];
  if (!view) return;
  if (header.fault) {
    say(header.fault, "bad");
    send({ do: "shown", lane: header.lane, number: header.number });
  } else if (view.decoding || view.stroke) view.next = [header, buffer]; // a picture that is drawn on stands still
  else decode(view, header, buffer);
}

async function decode(view, header, buffer) {
  view.decoding = true;
  send({ do: "shown", lane: header.lane, number: header.number });
  try {
    const length = new DataView(buffer).getUint32(4, true);
    const bitmap = await createImageBitmap(new Blob([new Uint8Array(buffer, 8 + length)], { type: "image/jpeg" }));
    if (view.stroke) return bitmap.close();
    view.bitmap?.close();
    Object.assign(view, { bitmap, header, fresh: true });
    paintSoon(view);
  } finally {
    view.decoding = false;
    goOn(view);
  }
}

function goOn(view) {
  const next = view.next;
  if (!next || view.decoding || view.stroke) return;
  view.next = null;
  decode(view, ...next);
}

function paintSoon(view) {
  if (view.planned) return;
  view.planned = true;
  requestAnimationFrame(() => {
    view.planned = false;
    paint(view);
  });
}

// ---- views: a figure with a canvas a source

function layOut() {
  for (const view of run.views) {
    view.bitmap?.close();
    view.seen.disconnect();
  }
  $("views").replaceChildren();
  run.views = run.names.map((name, lane) => makeView(name, lane));
  $("views").classList.toggle("many", run.names.length > 1);
  $("tabs").hidden = run.names.length < 2;
  $("tabs").replaceChildren(...(run.names.length < 2 ? [] : ["All", ...run.views.map((view) => view.title)].map((name, n) => makeTab(name, n - 1))));
  choose(-1);
}

function makeTab(name, lane) {
  const tab = make("button", { type: "button", textContent: name });
  tab.onclick = () => choose(lane);
  return tab;
}

function choose(lane) {
  run.watched = lane;
  [...$("tabs").children].forEach((tab, n) => tab.setAttribute("aria-pressed", String(n - 1 === lane)));
  for (const view of run.views) view.figure.hidden = lane >= 0 && view.lane !== lane;
  $("views").classList.toggle("many", run.names.length > 1 && lane < 0);
  screenAges.length = 0;
  watch();
}

function makeView(name, lane) {
  const title = run.names.length > 1 ? `${lane + 1}  ${name}` : name; // two cameras may have one name
  const canvas = make("canvas", {});
  const figure = make("figure", { className: "view" });
  const empty = make("p", { className: "empty", textContent: "Waiting for a picture" });
  figure.append(canvas, empty);
  if (run.names.length > 1) figure.append(make("figcaption", { textContent: title }));
  $("views").append(figure);
  const view = { lane, title, canvas, figure, empty, number: 0, stroke: null, next: null };
  canvas.setAttribute("aria-label", `Picture of ${title}`);
  canvas.setAttribute("role", "img");
  if (run.task === "track") makeDrawable(view);
  view.seen = new ResizeObserver(() => paintSoon(view));
  view.seen.observe(canvas);
  return view;
}

function paint(view) {
  const { canvas, bitmap, header } = view;
  if (!bitmap || view.figure.hidden) return;
  const [height, width] = header.size_hw;
  view.figure.style.setProperty("--ratio", String(width / height));
  view.empty.hidden = true;
  const dpr = window.devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  const wide = Math.max(1, Math.round(box.width * dpr)), high = Math.max(1, Math.round(box.height * dpr));
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, wide, high);
  const scale = wide / width;
  const { result } = header;
  for (const track of result.tracks ?? []) paintTrack(pen, track, scale, dpr, wide, high);
  if (result.top) paintTop(pen, result.top, dpr, wide, high);
  if (result.untrained) paintLabel(pen, "UNTRAINED weights: the answer means nothing", 0, 0, WARNING, dpr, wide, high);
  if (view.stroke) paintStroke(pen, view.stroke, scale, dpr);
  view.number = header.number;
  canvas.dataset.number = header.number;
  canvas.dataset.index = header.index;
  canvas.dataset.source = header.source;
  canvas.dataset.result = JSON.stringify(result);
  if (view.fresh) drawn(view);
}

function drawn(view) {
  view.fresh = false;
  const at = performance.now();
  // In the first second the page is still being built; its pictures' ages are the browser's, not the run's.
  if (clock && !run.paused && at > run.since + 1000) screenAges.push({ at, ms: Math.max(0, at + clock.off - view.header.captured_ms), lane: view.lane });
  while (screenAges.length && screenAges[0].at < at - MINUTE_MS - 1000) screenAges.shift();
}

const colourOf = (track) =>
  ["lost", "left"].includes(track.state) ? LOST : track.state === "uncertain" ? WARNING : COLOURS[(track.id - 1) % COLOURS.length];

function paintTrack(pen, track, scale, dpr, wide, high) {
  const [left, top, right, bottom] = track.box_xyxy.map((value) => value * scale);
  const gone = ["lost", "left"].includes(track.state);
  pen.strokeStyle = colourOf(track);
  pen.lineWidth = dpr * (track.state === "uncertain" ? 1.5 : 2.5);
  pen.lineJoin = "round";
  pen.beginPath();
  if (!gone) pen.rect(left, top, right - left, bottom - top);
  else {
    const across = (right - left) / 4, down = (bottom - top) / 4;
    for (const [x, y, dx, dy] of [[left, top, 1, 1], [right, top, -1, 1], [left, bottom, 1, -1], [right, bottom, -1, -1]]) {
      pen.moveTo(x + dx * across, y);
      pen.lineTo(x, y);
      pen.lineTo(x, y + dy * down);
    }
  }
  pen.stroke();
  const said = track.state === "tracking" ? `${Math.round(track.score * 100)}%` : track.state;
  paintLabel(pen, `${track.id}  ${said}`, left, top, pen.strokeStyle, dpr, wide, high);
}

function paintLabel(pen, words, left, top, colour, dpr, wide, high) {
  pen.font = `600 ${13 * dpr}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  const height = 22 * dpr, width = pen.measureText(words).width + 18 * dpr;
  const y = Math.max(0, Math.min(top >= height ? top - height : top, high - height));
  const x = Math.max(0, Math.min(left - 1.25 * dpr, wide - width));
  pen.fillStyle = "rgb(12 14 18 / 78%)";
  pen.fillRect(x, y, width, height);
  pen.fillStyle = colour;
  pen.fillRect(x, y, 4 * dpr, height);
  pen.fillStyle = "#fff";
  pen.fillText(words, x + 11 * dpr, y + height / 2 + dpr / 2);
}

function paintTop(pen, top, dpr, wide, high) {
  const row = 26 * dpr, pad = 8 * dpr;
  const shown = top.slice(0, Math.max(1, Math.min(5, Math.floor((high / 2 - 2 * pad) / row))));
  pen.font = `600 ${13.5 * dpr}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  const names = Math.max(...shown.map((best) => pen.measureText(best.name).width));
  const width = Math.min(wide - 2 * pad, Math.max(190 * dpr, names + 86 * dpr));
  const left = pad, up = high - pad - shown.length * row - pad;
  pen.fillStyle = "rgb(12 14 18 / 72%)";
  pen.beginPath();
  pen.roundRect(left, up, width, shown.length * row + pad, 8 * dpr);
  pen.fill();
  shown.forEach((best, n) => {
    const y = up + pad / 2 + n * row;
    pen.fillStyle = n ? "rgb(104 116 134 / 80%)" : "rgb(16 150 130 / 90%)";
    pen.fillRect(left + pad / 2, y + dpr, (width - pad) * Math.min(1, best.score), row - 2 * dpr);
    pen.fillStyle = "#fff";
    const share = percent(best.score), room = width - pad * 2 - pen.measureText(share).width - 12 * dpr;
    pen.fillText(share, left + width - pad - pen.measureText(share).width, y + row / 2);
    pen.fillText(shortened(pen, best.name, room), left + pad, y + row / 2);
  });
}

function shortened(pen, words, room) {
  if (pen.measureText(words).width <= room) return words;
  let end = words.length;
  while (end > 1 && pen.measureText(`${words.slice(0, end)}…`).width > room) end -= 1;
  return `${words.slice(0, end)}…`;
}

const percent = (score) => (score > 0 && score < 0.01 ? "<1%" : `${Math.round(score * 100)}%`);

// ---- drawing a box: a stroke is the box, a click a point; arrows and Enter do it without a pointer

const drawHint = () => "Draw a box around what shall be followed, or tap on it.";

function makeDrawable(view) {
  const { canvas } = view;
  canvas.classList.add("draws");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute(
    "aria-label",
    `Picture of ${view.title}. Draw a box around a target. With keys: Enter begins a box, arrows move it, ` +
      "Shift and arrows size it, Enter follows, Escape leaves.",
  );
  canvas.onpointerdown = (event) => {
    if (event.button || !view.header) return;
    canvas.setPointerCapture(event.pointerId);
    const at = place(view, event);
    view.stroke = { from: at, to: at, pointer: event.pointerId };
    paintSoon(view);
  };
  canvas.onpointermove = (event) => {
    if (view.stroke?.pointer !== event.pointerId) return;
    view.stroke.to = place(view, event);
    paintSoon(view);
  };
  canvas.onpointerup = (event) => {
    const stroke = view.stroke;
    if (stroke?.pointer !== event.pointerId) return;
    const per = canvas.getBoundingClientRect().width / view.header.size_hw[1];
    const near = Math.hypot(stroke.to[0] - stroke.from[0], stroke.to[1] - stroke.from[1]) * per < CLICK_PX;
    follow(view, near ? stroke.to : boxOf(stroke));
  };
  canvas.onpointercancel = () => leave(view);
  canvas.onkeydown = (event) => keyed(view, event);
  canvas.onblur = canvas.onpointercancel;
}

function leave(view) {
  view.stroke = null;
  paintSoon(view);
  goOn(view);
}

/** Return where an event is, in pixels of the original frame. */
function place(view, event) {
  const box = view.canvas.getBoundingClientRect(), [height, width] = view.header.size_hw;
  return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
}

const boxOf = ({ from, to }) => [
  Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]), Math.max(from[1], to[1]),
];

function keyed(view, event) {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!view.header || (!view.stroke && event.key !== "Enter") || !(step || ["Enter", "Escape"].includes(event.key))) return;
  event.preventDefault();
  const [height, width] = view.header.size_hw, { stroke } = view;
  if (event.key === "Escape") return leave(view);
  if (step) {
    const by = [step[0] * width * 0.02, step[1] * height * 0.02];
    stroke.to = stroke.to.map((value, n) => value + by[n]);
    if (!event.shiftKey) stroke.from = stroke.from.map((value, n) => value + by[n]);
  } else if (stroke) follow(view, boxOf(stroke));
  else view.stroke = { from: [width * 0.35, height * 0.35], to: [width * 0.65, height * 0.65], pointer: null };
  paintSoon(view);
}

function paintStroke(pen, stroke, scale, dpr) {
  const [left, top, right, bottom] = boxOf(stroke).map((value) => value * scale);
  pen.setLineDash([6 * dpr, 4 * dpr]);
  for (const [colour, width] of [["rgb(0 0 0 / 60%)", 4], ["#fff", 2]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width * dpr;
    pen.strokeRect(left, top, right - left, bottom - top);
  }
  pen.setLineDash([]);
}

async function follow(view, at) {
  const { number } = view;
  leave(view);
  const reply = await order({ do: "start", lane: view.lane, number, place: at });
  if (!reply.ok) return say(reply.message, "bad");
  say(`Target ${reply.id} is followed.`);
  if (!run.paused) return;
  // No further answer comes while the run stands still, so what was begun is shown from the reply.
  (view.header.result.tracks ??= []).push({ id: reply.id, box_xyxy: reply.box_xyxy, score: 1, state: "tracking" });
  paintSoon(view);
}

// ---- what stands beside the pictures

function showState(state) {
  remember(state, performance.now());
  Object.assign(run, { paused: state.paused, recording: state.recording.on });
  const only = run.watched >= 0 && run.names.length > 1 ? run.watched : null;
  const sum = (key) => state.sources.reduce((all, source, n) => all + (only === null || n === only ? source[key] : 0), 0);
  for (const key of ["answered", "dropped", "late", "reconnects"]) $(key).textContent = sum(key).toLocaleString("en");
  const fps = state.fps.reduce((all, value, n) => all + (only === null || n === only ? value : 0), 0);
  $("fps").textContent = fps.toFixed(1);
  const now = performance.now();
  $("screen-fps").textContent = String(screenAges.filter((age) => age.at > now - 1000).length);
  $("pause").textContent = state.paused ? "Go on" : "Pause";
  $("pause").setAttribute("aria-pressed", String(state.paused));
  $("record").setAttribute("aria-pressed", String(state.recording.on));
  const seconds = Math.floor(state.recording.seconds);
  $("record-words").textContent = state.recording.on
    ? `Stop ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` : "Record";
  if (state.recording.fault && state.recording.fault !== run.fault) say(state.recording.fault, "bad");
  run.fault = state.recording.fault;
  $("event").textContent = state.event ? `Last told at ${state.event}.` : "";
  if (!run.over) link(state.paused ? "paused" : "live", state.paused ? "Paused" : "Live");
  if (performance.now() - (clock?.at ?? 0) > 5000) askClock();
}

function remember(second, at) {
  if (second.age) answerAges.push({ at, p50: second.age.p50_ms, p95: second.age.p95_ms });
  while (answerAges.length && answerAges[0].at < at - MINUTE_MS - 1000) answerAges.shift();
}

setInterval(() => {
  if (document.hidden) return;
  const now = performance.now();
  const late = screenAges.filter((age) => age.at > now - 1000).map((age) => age.ms).sort((a, b) => a - b);
  $("age-now").textContent = late.length ? String(Math.round(late[Math.floor(late.length / 2)])) : "–";
  $("age-answer").textContent = answerAges.length ? String(Math.round(answerAges.at(-1).p50)) : "–";
  paintGraph(now);
  if (run.task === "track") listTargets();
  else listBest();
}, 250);

function paintGraph(now) {
  const canvas = $("graph"), dpr = window.devicePixelRatio || 1;
  const wide = Math.round(canvas.clientWidth * dpr), high = Math.round(canvas.clientHeight * dpr);
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  pen.clearRect(0, 0, wide, high);
  const screen = bySecond(now);
  const most = niceMost(Math.max(20, ...screen.map((s) => s.p95), ...answerAges.map((s) => s.p95)));
  const left = 34 * dpr, bottom = high - 18 * dpr, top = 8 * dpr;
  const x = (at) => left + (1 - (now - at) / MINUTE_MS) * (wide - left - 2 * dpr);
  const y = (ms) => bottom - (ms / most) * (bottom - top);
  pen.font = `${11 * dpr}px system-ui, sans-serif`;
  pen.fillStyle = colour("--soft");
  pen.strokeStyle = colour("--line");
  pen.lineWidth = dpr;
  pen.textBaseline = "middle";
  for (const ms of [0, most / 2, most]) {
    pen.beginPath();
    pen.moveTo(left, Math.round(y(ms)) + 0.5);
    pen.lineTo(wide, Math.round(y(ms)) + 0.5);
    pen.stroke();
    pen.textAlign = "right";
    pen.fillText(String(ms), left - 6 * dpr, y(ms));
  }
  pen.textBaseline = "alphabetic";
  pen.textAlign = "left";
  pen.fillText("a minute ago", left, high - 4 * dpr);
  pen.textAlign = "right";
  pen.fillText("ms, now", wide - 2 * dpr, high - 4 * dpr);
  for (const [points, name] of [[answerAges, "--answer"], [screen, "--screen"]])
    for (const part of unbroken(points)) band(pen, part, x, y, colour(name), dpr);
  const last = screen.at(-1), told = answerAges.at(-1);
  canvas.setAttribute(
    "aria-label",
    "Ages over the last minute. " + (last ? `On this screen: half are below ${Math.round(last.p50)} ms, 95% below ${Math.round(last.p95)} ms. ` : "") +
      (told ? `When answered: half below ${Math.round(told.p50)} ms, 95% below ${Math.round(told.p95)} ms.` : ""),
  );
}

/** Part the points where seconds are missing: nothing was seen in a pause. */
function unbroken(points) {
  const parts = [];
  points.forEach((point, n) => {
    if (!n || point.at - points[n - 1].at > 2500) parts.push([]);
    parts.at(-1).push(point);
  });
  return parts;
}

function band(pen, points, x, y, colour, dpr) {
  pen.fillStyle = pen.strokeStyle = colour;
  pen.globalAlpha = 0.18;
  pen.beginPath();
  points.forEach((p, n) => pen[n ? "lineTo" : "moveTo"](x(p.at), y(p.p95)));
  [...points].reverse().forEach((p) => pen.lineTo(x(p.at), y(p.p50)));
  pen.fill();
  pen.globalAlpha = 1;
  pen.lineWidth = 2 * dpr;
  pen.lineJoin = "round";
  pen.beginPath();
  points.forEach((p, n) => pen[n ? "lineTo" : "moveTo"](x(p.at), y(p.p50)));
  pen.stroke();
  pen.beginPath();
  pen.arc(x(points.at(-1).at), y(points.at(-1).p50), 3 * dpr, 0, 7);
  pen.fill();
}

function bySecond(now) {
  const seconds = new Map();
  for (const age of screenAges) {
    const key = Math.floor((now - age.at) / 1000);
    if (!seconds.has(key)) seconds.set(key, []);
    seconds.get(key).push(age.ms);
  }
  return [...seconds].filter(([key]) => key < 60).sort((a, b) => b[0] - a[0]).map(([key, ages]) => {
    ages.sort((a, b) => a - b);
    const at = (share) => ages[Math.min(ages.length - 1, Math.floor(share * ages.length))];
    return { at: now - key * 1000 - 500, p50: at(0.5), p95: at(0.95) };
  });
}

function niceMost(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 10].map((n) => n * unit).find((n) => n >= value);
}

const visible = () => run.views.filter((view) => !view.figure.hidden && view.header);

function listTargets() {
  const list = $("target-list"), kept = new Set();
  for (const view of visible()) {
    for (const track of view.header.result.tracks ?? []) {
      const key = `${view.lane}-${track.id}`;
      kept.add(key);
      const row = list.querySelector(`[data-key="${key}"]`) ?? makeTarget(key, view, track.id);
      row.querySelector(".swatch").style.background = colourOf(track);
      row.querySelector("span.state").textContent = `${track.state}, ${Math.round(track.score * 100)}%`;
    }
  }
  for (const row of [...list.children]) if (!kept.has(row.dataset.key)) row.remove();
  $("hint").textContent = kept.size ? "Draw another box to follow one more." : drawHint();
}

function makeTarget(key, view, id) {
  const row = make("li", {});
  row.dataset.key = key;
  const said = make("p", { className: "said" });
  const where = run.names.length > 1 ? `Source ${view.lane + 1}, target ${id}` : `Target ${id}`;
  said.append(make("b", { textContent: where }), document.createElement("br"), make("span", { className: "state" }));
  const stop = make("button", { type: "button", textContent: "Stop" });
  stop.setAttribute("aria-label", `Stop following ${where.toLowerCase()}`);
  stop.onclick = async () => {
    const reply = await order({ do: "stop", lane: view.lane, id });
    say(reply.ok ? `${where} is followed no longer.` : reply.message, reply.ok ? "" : "bad");
  };
  row.append(make("i", { className: "swatch" }), said, stop);
  $("target-list").append(row);
  return row;
}

function listBest() {
  const view = visible()[0], list = $("best-list");
  const top = visible().length === 1 ? view.header.result.top ?? [] : [];
  $("best").hidden = !top.length;
  while (list.children.length > top.length) list.lastChild.remove();
  while (list.children.length < top.length) {
    const row = make("li", {});
    row.append(make("i", {}), make("span", {}), make("b", {}));
    list.append(row);
  }
  top.forEach((best, n) => {
    const [bar, name, share] = list.children[n].children;
    bar.style.width = `${Math.min(1, best.score) * 100}%`;
    name.textContent = best.name;
    share.textContent = percent(best.score);
  });
}

// ---- buttons

$("pause").onclick = async () => {
  const reply = await order({ do: "pause", on: !run.paused });
  if (reply.ok) {
    run.paused = reply.paused;
    say(reply.paused ? "Paused. A box can be drawn on the picture that stands." : "");
    $("pause").textContent = reply.paused ? "Go on" : "Pause";
    $("pause").setAttribute("aria-pressed", String(reply.paused));
    link(reply.paused ? "paused" : "live", reply.paused ? "Paused" : "Live");
  } else say(reply.message, "bad");
};

$("record").onclick = async () => {
  const begin = !run.recording;
  $("record").disabled = true;
  const reply = await order({ do: "record", on: begin });
  $("record").disabled = false;
  if (!reply.ok) say(reply.message, "bad");
  else if (begin) say("Recording, on the server.");
  else say(reply.files.length ? `Recorded on the server: ${reply.files.join(", ")}` : "Nothing came while it was recording.");
  if (reply.ok) run.recording = begin;
};

function enable(on) {
  $("pause").disabled = $("record").disabled = !on;
}

function link(state, words) {
  if ($("link").dataset.state === state && $("link").textContent === words) return;
  $("link").dataset.state = state;
  $("link").textContent = words;
}

function say(words, kind = "") {
  $("words").textContent = words;
  $("words").dataset.kind = kind;
}

function make(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

document.addEventListener("visibilitychange", watch);
window.addEventListener("resize", () => run.views.forEach(paintSoon));
connect();
