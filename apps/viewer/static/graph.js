// The graph of ages over the last minute: a line for the median of each second, a band up to its 95th percentile.

import { MINUTE_MS } from "./ages.js";
import { penOn } from "./page.js";

const BREAK_MS = 2500; // where seconds are missing the line breaks: nothing was seen in a pause
const TOP = 8, FOOT = 18;

/** Paint both series of {at, p50, p95}, and say them in the canvas's label for who does not see it. */
export function paintGraph(canvas, answered, shown, now) {
  const { pen, width, height } = penOn(canvas);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  pen.clearRect(0, 0, width, height);
  pen.font = "11px system-ui, sans-serif";
  const most = niceMost(Math.max(20, ...[...answered, ...shown].map(({ p95 }) => p95)));
  const left = pen.measureText(`${most} ms`).width + 8, bottom = height - FOOT;
  const x = (at) => left + (1 - (now - at) / MINUTE_MS) * (width - left - 4);
  const y = (ms) => bottom - (ms / most) * (bottom - TOP);
  paintGrid(pen, [0, most / 2, most], { left, width, height, y, words: colour("--soft"), line: colour("--line") });
  for (const [points, name] of [[answered, "--answer"], [shown, "--screen"]])
    for (const part of unbroken(points)) paintBand(pen, part, x, y, colour(name));
  canvas.setAttribute("aria-label", inWords(answered.at(-1), shown.at(-1)));
}

function paintGrid(pen, levels, { left, width, height, y, words, line }) {
  pen.fillStyle = words;
  pen.strokeStyle = line;
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (const ms of levels) {
    const level = Math.round(y(ms)) + 0.5;
    pen.beginPath();
    pen.moveTo(left, level);
    pen.lineTo(width, level);
    pen.stroke();
    pen.fillText(ms ? `${ms} ms` : "0", left - 6, level);
  }
  pen.textBaseline = "alphabetic";
  pen.fillText("now", width - 2, height - 4);
  pen.textAlign = "left";
  pen.fillText("a minute ago", left, height - 4);
}

function paintBand(pen, points, x, y, colour) {
  const edge = (key, along = points) => along.forEach((point) => pen.lineTo(x(point.at), y(point[key])));
  pen.fillStyle = pen.strokeStyle = colour;
  pen.globalAlpha = 0.18;
  pen.beginPath();
  edge("p95");
  edge("p50", [...points].reverse());
  pen.fill();
  pen.globalAlpha = 1;
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.beginPath();
  edge("p50");
  pen.stroke();
  pen.beginPath();
  pen.arc(x(points.at(-1).at), y(points.at(-1).p50), 3, 0, 7);
  pen.fill();
}

function unbroken(points) {
  const parts = [];
  points.forEach((point, n) => {
    if (!n || point.at - points[n - 1].at > BREAK_MS) parts.push([]);
    parts.at(-1).push(point);
  });
  return parts;
}

function niceMost(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 10].map((n) => n * unit).find((n) => n >= value);
}

function inWords(answered, shown) {
  const said = ({ p50, p95 }) => `half are below ${Math.round(p50)} ms, 95% below ${Math.round(p95)} ms.`;
  const parts = ["Ages over the last minute."];
  if (shown) parts.push(`On this screen: ${said(shown)}`);
  if (answered) parts.push(`When answered: ${said(answered)}`);
  return parts.join(" ");
}
