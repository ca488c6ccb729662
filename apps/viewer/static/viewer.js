// The page of a run: the newest picture of each source, what was answered drawn over it, orders sent back.
// This module only joins the others, each of which does one thing: what comes is handed to who shows it.

import { Ages, Clock, share } from "./ages.js";
import { Connection } from "./connection.js";
import { Controls } from "./controls.js";
import { HINT } from "./drawing.js";
import { paintGraph } from "./graph.js";
import { $, say, showLink } from "./page.js";
import { listBest, listTargets, showFigures } from "./side.js";
import { Stage } from "./stage.js";

const REFRESH_MS = 250;
const LOST = "The connection is lost: what is shown is old. This page tries to come back by itself.";
const TRY_AGAIN = 1013; // a websocket's word for a server that is full

const run = { task: "", names: [], isOver: false };
const ages = new Ages(), clock = new Clock();
const askClock = () => connection.send({ do: "clock", t: performance.now() });
const connection = new Connection({ told, picture, lost, call: askClock });
const controls = new Controls(connection);
const stage = new Stage({ taken, painted, follow, chosen: () => ages.forgetShown(), looked });

// ---- what the server says

function told(data) {
  if (data.type === "hello") welcome(data);
  else if (data.type === "state") showState(data);
  else if (data.type === "clock") clock.hear(data);
  else if (data.type === "end") {
    run.isOver = true;
    say(`The run has ended${data.why ? `: ${data.why}` : ""}. This page waits for the next one.`);
  }
}

function welcome({ title, task, sources, history }) {
  Object.assign(run, { task, names: sources, isOver: false });
  $("title").textContent = title;
  document.title = `${title} · edgevit`;
  $("targets").hidden = task !== "track";
  if (task === "track") $("best").hidden = true;
  ages.begin(history);
  clock.forget();
  for (let n = 0; n < 4; n++) setTimeout(askClock, n * 150);
  controls.enable(true);
  showLink("live", "Live");
  say(task === "track" ? HINT : "");
  stage.layOut(sources, task === "track");
}

function showState(state) {
  ages.answer(state, performance.now());
  showFigures(state, stage.shown.map((view) => view.lane));
  if (!run.isOver) controls.show(state);
}

function picture(header, jpeg) {
  if (header.fault) {
    say(header.fault, "bad");
    taken(header);
  } else stage.views[header.lane]?.take(header, jpeg);
}

async function lost(event) {
  clock.forget();
  controls.enable(false);
  const isNews = showLink("lost", run.isOver ? "Ended" : "Reconnecting");
  if (event.code === TRY_AGAIN) say(`The server is busy: ${event.reason}.`, "bad");
  else if (isNews && !run.isOver) say(LOST, "bad");
  // A browser does not tell a page why a websocket was refused, but it does tell why a file was.
  const answer = await fetch("icon.svg", { cache: "no-store" }).catch(() => null);
  if (answer?.status === 401) say("The server asks for its token: open the address that it printed once more.", "bad");
}

// ---- what the page says

function looked() {
  if (!document.hidden) connection.hurry();
  connection.send({ do: "watch", lanes: document.hidden ? [] : stage.shown.map((view) => view.lane) });
}

function taken({ lane, number }) {
  connection.send({ do: "shown", lane, number });
}

async function follow(view, number, place) {
  const reply = await connection.order({ do: "start", lane: view.lane, number, place });
  if (!reply.ok) return say(reply.message, "bad");
  say(`Target ${reply.id} is followed.`);
  if (!controls.isPaused) return;
  // No further answer comes while the run stands still, so what was begun is shown from the reply.
  (view.header.result.tracks ??= []).push({ id: reply.id, box_xyxy: reply.box_xyxy, score: 1, state: "tracking" });
  view.paintSoon();
}

async function stop(view, id, name) {
  const reply = await connection.order({ do: "stop", lane: view.lane, id });
  if (reply.ok) say(`${name} is followed no longer.`);
  else say(reply.message, "bad");
}

// ---- what is seen

function painted(view, at, isTimely) {
  const ms = clock.age(at, view.header.captured_ms);
  if (ms !== null && isTimely && !controls.isPaused) ages.show(at, ms);
  if (run.task !== "track") listBest(stage.shown); // with the picture: two answers at once would confuse
}

function refresh() {
  if (document.hidden) return;
  const now = performance.now(), lately = ages.lately(now);
  $("age-now").textContent = lately.length ? String(Math.round(share(lately, 0.5))) : "–";
  $("age-answer").textContent = ages.answered.length ? String(Math.round(ages.answered.at(-1).p50)) : "–";
  $("screen-fps").textContent = String(lately.length);
  paintGraph($("graph"), ages.answered, ages.shown(now), now);
  for (const view of stage.shown) view.showSilence(now, !controls.isPaused && !run.isOver);
  if (run.task === "track") listTargets(stage.shown, run.names.length > 1, stop);
}

window.addEventListener("online", () => connection.hurry());
setInterval(refresh, REFRESH_MS);
connection.open();
