// web/live.js - what keeps a view up to date, and reports when it is no longer: a stream that is
// opened again where it broke, or a question that is asked again and again. Both rest while nobody
// looks.

import {RpcError, stream} from "./rpc.js";

const HIDDEN_MS = 30000;
const FIRST_MS = 500;
const MOST_MS = 10000;
const LASTING = new Set(
  ["UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "INVALID_ARGUMENT", "UNIMPLEMENTED"]);

class Kept {
  // onState(kind, text): live, waiting (with why), resting, ended, failed (with an RpcError)
  constructor(onState) {
    this.onState = onState;
    this.stopped = false;
    this.wait = FIRST_MS;
    this.seen = () => this.#visibility();
    document.addEventListener("visibilitychange", this.seen);
  }

  start() {
    this.#round();
    return this;
  }

  stop() {
    this.stopped = true;
    this.abort?.abort();
    clearTimeout(this.timer);
    clearTimeout(this.hiding);
    document.removeEventListener("visibilitychange", this.seen);
  }

  #visibility() {
    clearTimeout(this.hiding);
    if (this.stopped || this.over) return;
    if (document.hidden) {
      this.hiding = setTimeout(() => {
        this.resting = true;
        this.abort?.abort();
        clearTimeout(this.timer);
        this.onState("resting");
      }, HIDDEN_MS);
    } else if (this.resting) {
      this.resting = false;
      this.#round();
    }
  }

  live() {
    this.wait = FIRST_MS;
    this.onState("live");
  }

  async #round() {
    const abort = new AbortController();
    this.abort = abort;
    try {
      const again = await this.once(abort.signal);
      if (abort.signal.aborted) return;
      if (again)
        this.timer = setTimeout(() => this.#round(), again);
      else
        this.#end("ended");
    } catch (error) {
      if (abort.signal.aborted) return;
      if (!(error instanceof RpcError)) throw error;
      if (LASTING.has(error.code)) return this.#end("failed", error);
      this.onState("waiting", error.message);
      this.timer = setTimeout(() => this.#round(), this.wait);
      this.wait = Math.min(MOST_MS, 2 * this.wait);
    }
  }

  #end(kind, error) {
    this.over = true;
    this.onState(kind, error);
  }
}

// A stream: request() says what is still missing, each time anew.
export class Followed extends Kept {
  constructor(method, request, onMessage, onState) {
    super(onState);
    Object.assign(this, {method, request, onMessage});
  }

  async once(signal) {
    await stream(
      this.method, this.request(), {signal, onOpen: () => this.live(), onMessage: this.onMessage});
    return 0;
  }
}

// A question: ask(signal) every `every` ms.
export class Asked extends Kept {
  constructor(ask, every, onState) {
    super(onState);
    Object.assign(this, {ask, every});
  }

  async once(signal) {
    await this.ask(signal);
    this.live();
    return this.every;
  }
}
