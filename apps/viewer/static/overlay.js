// What is drawn over a picture: targets, the best classes, the box being drawn. In CSS pixels; `scale` of them are one
// pixel of the frame, `room` is the picture's {width, height}.

const COLOURS = ["#28dc96", "#5aaaff", "#ff6ea0", "#be8cff"]; // as in the videos that are recorded
const WARNING = "#ffb21a", LOST = "#eb463c";
const PLATE = "rgb(12 14 18 / 78%)";
const PAD = 8, ROW = 26, LABEL = 22;

export const percent = (score) => (score > 0 && score < 0.01 ? "<1%" : `${Math.round(score * 100)}%`);

const isGone = (track) => track.state === "lost" || track.state === "left";

export function colourOf(track) {
  if (isGone(track)) return LOST;
  return track.state === "uncertain" ? WARNING : COLOURS[(track.id - 1) % COLOURS.length];
}

export function paintAnswer(pen, result, scale, room) {
  for (const track of result.tracks ?? []) paintTrack(pen, track, scale, room);
  if (result.top) paintTop(pen, result.top, room);
  if (result.untrained) paintLabel(pen, "UNTRAINED weights: the answer means nothing", 0, 0, WARNING, room);
}

export function paintStroke(pen, box, scale) {
  const [left, top, right, bottom] = box.map((value) => value * scale);
  pen.setLineDash([6, 4]);
  for (const [colour, width] of [["rgb(0 0 0 / 60%)", 4], ["#fff", 2]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.strokeRect(left, top, right - left, bottom - top);
  }
  pen.setLineDash([]);
}

function paintTrack(pen, track, scale, room) {
  const [left, top, right, bottom] = track.box_xyxy.map((value) => value * scale);
  pen.strokeStyle = colourOf(track);
  pen.lineWidth = track.state === "uncertain" ? 1.5 : 2.5;
  pen.lineJoin = "round";
  pen.beginPath();
  if (isGone(track)) addCorners(pen, left, top, right, bottom);
  else pen.rect(left, top, right - left, bottom - top);
  pen.stroke();
  const said = track.state === "tracking" ? percent(track.score) : track.state;
  paintLabel(pen, `${track.id}  ${said}`, left, top, pen.strokeStyle, room);
}

function addCorners(pen, left, top, right, bottom) {
  const across = (right - left) / 4, down = (bottom - top) / 4;
  for (const [x, y, dx, dy] of [[left, top, 1, 1], [right, top, -1, 1], [left, bottom, 1, -1], [right, bottom, -1, -1]]) {
    pen.moveTo(x + dx * across, y);
    pen.lineTo(x, y);
    pen.lineTo(x, y + dy * down);
  }
}

/** Paint words above a box's left corner, or as near as they are seen whole. */
function paintLabel(pen, words, left, top, colour, room) {
  pen.font = "600 13px system-ui, sans-serif";
  pen.textBaseline = "middle";
  const width = pen.measureText(words).width + 18;
  const x = Math.max(0, Math.min(left - 1.25, room.width - width));
  const y = Math.max(0, Math.min(top >= LABEL ? top - LABEL : top, room.height - LABEL));
  pen.fillStyle = PLATE;
  pen.fillRect(x, y, width, LABEL);
  pen.fillStyle = colour;
  pen.fillRect(x, y, 4, LABEL);
  pen.fillStyle = "#fff";
  pen.fillText(words, x + 11, y + LABEL / 2 + 0.5);
}

function paintTop(pen, top, room) {
  const rows = Math.max(1, Math.min(5, Math.floor((room.height / 2 - 2 * PAD) / ROW)));
  const shown = top.slice(0, rows);
  pen.font = "600 13.5px system-ui, sans-serif";
  pen.textBaseline = "middle";
  const names = Math.max(...shown.map(({ name }) => pen.measureText(name).width));
  const width = Math.min(room.width - 2 * PAD, Math.max(190, names + 86));
  const up = room.height - 2 * PAD - shown.length * ROW;
  pen.fillStyle = PLATE;
  pen.beginPath();
  pen.roundRect(PAD, up, width, shown.length * ROW + PAD, 8);
  pen.fill();
  shown.forEach(({ name, score }, n) => {
    const y = up + PAD / 2 + n * ROW, said = percent(score), end = pen.measureText(said).width;
    pen.fillStyle = n ? "rgb(104 116 134 / 80%)" : "rgb(12 120 104 / 92%)";
    pen.fillRect(PAD * 1.5, y + 1, (width - PAD) * Math.min(1, score), ROW - 2);
    pen.fillStyle = "#fff";
    pen.fillText(said, width - end, y + ROW / 2);
    pen.fillText(shortened(pen, name, width - 2 * PAD - end - 12), 2 * PAD, y + ROW / 2);
  });
}

function shortened(pen, words, room) {
  if (pen.measureText(words).width <= room) return words;
  let end = words.length;
  while (end > 1 && pen.measureText(`${words.slice(0, end)}…`).width > room) end -= 1;
  return `${words.slice(0, end)}…`;
}
