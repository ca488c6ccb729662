// The one websocket to the run, opened again for as long as the page is open: soon at first, then every few seconds.
// What comes has the form that apps/viewer/message.py tells, what goes that of apps/viewer/requests.py.

const FIRST_RETRY_MS = 500, LAST_RETRY_MS = 5000, GROWTH = 1.6;
const CALL_MS = 2000;
const SILENCE_MS = 8000; // a cable that was pulled closes nothing: who answers no call for so long has gone
const decoder = new TextDecoder();

export class Connection {
  #hears;
  #socket = null;
  #heardAt = 0;
  #retryMs = FIRST_RETRY_MS;
  #retry = 0;
  #asked = 0;
  #waiting = new Map(); // orders by number: what to do with their replies

  /** `hears` has told(object), picture(header, jpeg), lost(event), and call(), which asks for what is answered at once. */
  constructor(hears) {
    this.#hears = hears;
    setInterval(() => this.#watch(), CALL_MS);
  }

  open() {
    const url = new URL("live", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = url.hash = "";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = (event) => this.#lost(event);
    this.#socket = socket;
    this.#heardAt = performance.now();
  }

  /** Try again now: the network or the reader is back. */
  hurry() {
    if (this.#retry) this.#again();
  }

  /** Send an object, or return false where there is no connection. */
  send(data) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(data));
    return true;
  }

  /** Send an order, and promise its reply: {ok: true, …} or {ok: false, message}. */
  order(data) {
    const ask = (this.#asked += 1);
    return new Promise((reply) => {
      if (this.send({ ...data, ask })) this.#waiting.set(ask, reply);
      else reply({ ok: false, message: "There is no connection at the moment." });
    });
  }

  #hear(data) {
    this.#heardAt = performance.now();
    if (typeof data !== "string") return this.#unpack(data);
    const told = JSON.parse(data);
    if (told.type === "reply") {
      this.#waiting.get(told.ask)?.(told);
      this.#waiting.delete(told.ask);
      return;
    }
    if (told.type === "hello") this.#retryMs = FIRST_RETRY_MS;
    this.#hears.told(told);
  }

  #unpack(buffer) {
    if (decoder.decode(new Uint8Array(buffer, 0, 4)) !== "EVP1") return;
    const length = new DataView(buffer).getUint32(4, true);
    const header = JSON.parse(decoder.decode(new Uint8Array(buffer, 8, length)));
    this.#hears.picture(header, new Uint8Array(buffer, 8 + length));
  }

  #watch() {
    if (this.#retry) return;
    if (performance.now() - this.#heardAt < SILENCE_MS) return this.#hears.call();
    this.#socket.onmessage = this.#socket.onclose = null; // its own end may take minutes to be told
    this.#socket.close();
    this.#lost({ code: 1006, reason: "" });
  }

  #lost(event) {
    const message = "The connection was lost before the answer came.";
    for (const reply of this.#waiting.values()) reply({ ok: false, message });
    this.#waiting.clear();
    this.#retry = setTimeout(() => this.#again(), this.#retryMs);
    this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * GROWTH);
    this.#hears.lost(event);
  }

  #again() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.open();
  }
}
