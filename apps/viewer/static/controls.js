// The buttons that concern the whole run: pause, record, the log. They show how the run stands, whoever ordered it.

import { $, say, showLink } from "./page.js";

const LOG = $("log").getAttribute("href");

export class Controls {
  isPaused = false;
  #isRecording = false;
  #fault = "";
  #connection;

  constructor(connection) {
    this.#connection = connection;
    $("pause").onclick = () => this.#pause(!this.isPaused);
    $("record").onclick = () => this.#record(!this.#isRecording);
  }

  /** Let them be used, or not: without a server there is nothing to order, and no log. */
  enable(on) {
    $("pause").disabled = $("record").disabled = !on;
    if (on) $("log").setAttribute("href", LOG);
    else $("log").removeAttribute("href");
    $("log").setAttribute("aria-disabled", String(!on));
  }

  show({ paused, recording }) {
    this.#showPaused(paused);
    this.#isRecording = recording.on;
    const seconds = Math.floor(recording.seconds);
    $("record").classList.toggle("on", recording.on);
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    $("record-words").textContent = recording.on ? `Stop ${time}` : "Record";
    if (recording.fault && recording.fault !== this.#fault) say(recording.fault, "bad");
    this.#fault = recording.fault;
  }

  #showPaused(paused) {
    this.isPaused = paused;
    $("pause").textContent = paused ? "Go on" : "Pause";
    showLink(paused ? "paused" : "live", paused ? "Paused" : "Live");
  }

  async #pause(on) {
    const reply = await this.#connection.order({ do: "pause", on });
    if (!reply.ok) return say(reply.message, "bad");
    this.#showPaused(reply.paused);
    say(reply.paused ? "Paused, for everybody who watches." : "");
  }

  async #record(on) {
    $("record").disabled = true;
    const reply = await this.#connection.order({ do: "record", on });
    $("record").disabled = false;
    if (!reply.ok) return say(reply.message, "bad");
    this.#isRecording = on;
    if (on) say("Recording, on the server.");
    else if (reply.files.length) say(`Recorded on the server: ${reply.files.join(", ")}`);
    else say("Nothing came while it was recording.");
  }
}
