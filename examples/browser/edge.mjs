/**
 * A browser's client of an edge gateway: one session over as many WebSockets as it takes.
 *
 * Events go in without session and number, each exactly one fate comes out:
 *
 *     const client = new EdgeClient({url: "wss://play.example", k: "p7", topics: ["jackpots"],
 *                                    token: async (why) => "eyJ…"});
 *     client.addEventListener("fate", ({detail}) => console.log(detail.seq, detail.outcome));
 *     client.start();
 *     client.say({specversion: "1.0", id: crypto.randomUUID(), …});
 *
 * It tells, as CustomEvents with a `detail`:
 *
 *     state    {state, why}                       away, knocking, greeting, open, leaving, over
 *     said     {seq, id, again}                   sent with this number; again: not the first time
 *     fate     {seq, id, outcome, code, pointer}  accepted, refused or shed; once for each event
 *     push     {event}                            what the origin has to tell
 *
 * How it works
 * ------------
 * An event waits in one of three places, in the order of its number: `fresh` (never sent, no
 * number yet), `underWay` (sent on this socket, by frame), `again` (sent before and without a
 * verdict: its socket was lost, or it was refused for now). What is to go again goes before
 * anything new, one frame at a time: then each word of the gateway is about that frame alone,
 * and what it does not refuse is durable, whatever it says of other numbers. A new event is
 * durable once a word says that its number is done and none has refused it.
 *
 * Whoever waits for a word gives it a time; when that is over, the socket is dead and is
 * replaced. After any end that is not final it comes back with full jitter: a random part of a
 * span that doubles with each failure, on top of what the gateway asked for. The gateway's
 * clock is never compared with ours.
 *
 * Who is replaced by a newer socket of the session does not come back: two that fight for it
 * would end each other for ever. But the newer socket may be a ghost of this client: a handshake
 * that it gave up and a network passed on late, or one of the page before a reload. So each
 * handshake that had no welcome, and the start, excuses one such end, for a while.
 */

const SUBPROTOCOL = "edge.v1.json";

// How patient it is, in ms.
const WELCOME_MS = 10_000; // with a gateway that does not greet
const VERDICT_MS = 10_000; // with one that does not judge: twice its spool.sync_timeout_s
const LEAVE_MS = 2_000; // with one that does not close after its bye
const HELLO_MS = 20_000; // a socket on which nothing is said is closed after 60 s
const RENEW_MS = 90_000; // before its end a token is renewed; the gateway warns 60 s before
const TOKEN_MS = 10_000; // with whoever issues tokens
const FETCH_AGAIN_MS = 5_000; // there was no token to be had
const KNOCK_MS = [250, 15_000]; // span of the jitter before a new socket: first, most
const RETRY_MS = [100, 5_000]; // the same before events that were refused for now
const ASKED_MAX_MS = 60_000; // who asks for a longer wait is asked again
const STEADY_MS = 5_000; // a socket that lived so long was no failure
const LATE_MS = 60_000; // by default balancers hold so long what they cannot pass on
const LATE_MAX = 3; // of one client: who is excused for ever would fight for ever
const TIMER_MAX_MS = 2 ** 31 - 1; // of setTimeout

const EVENT_BYTES_MAX = 65_536 - 256; // what fits into a frame, with its session and number
const UNSETTLED_MAX = 1_000; // events without a fate; say() throws beyond
const SPAN_MAX = 1_000; // of the 1,024 numbers of the gateway's window
const FRAMES_MAX = 16; // under way
const PACE_SHARE = 0.8; // of the frames allowed per second: networks bunch them up

const REPLACED = 4409;
// Coming back would end the same way, or end somebody else's socket.
const FINAL_CODES = new Set([1002, 1003, 1007, 1009, 4403, REPLACED]);
const SPENT = 4401;
const CUT = 1006; // Source: RFC 6455 §7.4.1: no close frame came

const TEXT = new TextEncoder();

/** Full jitter. Source: M. Brooker, "Exponential Backoff And Jitter", AWS, 2015. */
class Jitter {
  constructor([first, most]) {
    this.first = this.span = first;
    this.most = most;
  }

  draw() {
    const drawn = Math.random() * this.span;
    this.span = Math.min(2 * this.span, this.most);
    return drawn;
  }

  rest() {
    this.span = this.first;
  }
}

/** One session's events, from the application's hand to their fate. */
class Outbox {
  fresh = [];
  again = [];
  underWay = new Map(); // number of the frame → {left: Map(index → said), bytes, sentMs}
  aside = null; // a frame of another kind that has no answer: {number, sentMs}
  nextSeq = 1;
  retryMs = -Infinity;
  jitter = new Jitter(RETRY_MS);

  get unsettled() {
    let count = this.fresh.length + this.again.length;
    for (const frame of this.underWay.values()) count += frame.left.size;
    return count;
  }

  get isWaiting() {
    return this.underWay.size > 0 || this.aside !== null;
  }

  /** When the oldest frame without an answer was sent. */
  get oldestMs() {
    const sent = [...this.underWay.values()].map((frame) => frame.sentMs);
    return Math.min(...sent, this.aside?.sentMs ?? Infinity);
  }

  /** When there is something to say although nobody says anything to it. */
  get dueMs() {
    return this.again.length && !this.isWaiting ? this.retryMs : Infinity;
  }

  greet(welcome) {
    this.session = welcome.session;
    this.limits = welcome.limits;
    // Numbers given before are ours; those that the node has seen are somebody's.
    this.nextSeq = Math.max(this.nextSeq, welcome.next_seq);
    this.isOneByOne = true;
    this.isResending = false;
  }

  /** Return the events of the next frame, with their numbers; null: nothing may go now. */
  next(nowMs) {
    if (this.again.length) {
      if (this.isWaiting || nowMs < this.retryMs) return null;
      this.isResending = true;
      return this.again.splice(0, this.#fitting(this.again));
    }
    if (!this.fresh.length || this.#isFull()) return null;
    this.isResending = false;
    const room = this.#lowest() + SPAN_MAX - this.nextSeq;
    const numbered = this.fresh.slice(0, Math.max(room, 0)).map((event, at) => {
      const seq = this.nextSeq + at;
      return {seq, id: event.id, text: JSON.stringify({...event, session: this.session, seq})};
    });
    const taken = numbered.slice(0, this.#fitting(numbered));
    this.fresh.splice(0, taken.length);
    this.nextSeq += taken.length;
    return taken.length ? taken : null;
  }

  sent(number, events, bytes, nowMs) {
    this.isOneByOne &&= !this.isWaiting;
    this.underWay.set(number, {left: new Map(events.entries()), bytes, sentMs: nowMs});
  }

  /** Let a frame of another kind have *number*, if it may go now. */
  stepAside(number, nowMs) {
    if (this.isWaiting && this.isResending) return false;
    this.isOneByOne &&= !this.isWaiting;
    this.aside = {number, sentMs: nowMs};
    return true;
  }

  /** Return the fates that *verdicts* tells. */
  hear(verdicts, nowMs) {
    const fates = [];
    const putOff = [];
    for (const refusal of verdicts.refused) {
      for (const said of this.#takenOut(refusal)) {
        if (refusal.retryable) putOff.push(said);
        else fates.push(refused(said, refusal));
      }
    }
    fates.push(...this.#accepted(verdicts));
    if (fates.length) this.jitter.rest();
    if (putOff.length) {
      this.#putAgain(putOff);
      const askedMs = verdicts.retry_after_ms ?? 0;
      this.retryMs = Math.max(this.retryMs, nowMs + askedMs + this.jitter.draw());
    }
    return fates.sort((one, other) => one.seq - other.seq);
  }

  /** The socket is gone: what was under way on it must go again. */
  lose() {
    for (const frame of this.underWay.values()) this.#putAgain([...frame.left.values()]);
    this.underWay.clear();
    this.aside = null;
  }

  #putAgain(events) {
    this.again = [...this.again, ...events].sort((one, other) => one.seq - other.seq);
  }

  #isFull() {
    if (!this.underWay.size) return false;
    if (this.isResending) return true;
    let bytes = 0;
    for (const frame of this.underWay.values()) bytes += frame.bytes;
    const most = this.limits.in_flight_bytes - this.limits.frame_bytes;
    return this.underWay.size >= FRAMES_MAX || bytes > most;
  }

  /** Return how many of *events*, from the first, make one frame: at least one. */
  #fitting(events) {
    let bytes = TEXT.encode(eventsFrame([])).length;
    let count = 0;
    for (const {text} of events.slice(0, this.limits.events)) {
      bytes += TEXT.encode(text).length + 1;
      if (count && bytes > this.limits.frame_bytes) break;
      count += 1;
    }
    return count;
  }

  #lowest() {
    let lowest = this.nextSeq;
    for (const frame of this.underWay.values()) {
      for (const {seq} of frame.left.values()) lowest = Math.min(lowest, seq);
    }
    return lowest;
  }

  /** Take off what is refused; index null names the whole frame. */
  #takenOut(refusal) {
    if (refusal.frame === this.aside?.number) {
      this.aside = null;
      return [];
    }
    const left = this.underWay.get(refusal.frame)?.left;
    if (!left) return [];
    if (refusal.index === null) {
      const all = [...left.values()];
      left.clear();
      return all;
    }
    const said = left.get(refusal.index);
    left.delete(refusal.index);
    return said ? [said] : [];
  }

  #accepted({settled, highest, missing}) {
    const isAboutAll = this.isOneByOne && this.isResending;
    const isDone = (seq) =>
      seq <= settled ||
      (seq <= highest && !missing.some(([first, last]) => first <= seq && seq <= last));
    const fates = [];
    for (const [number, {left}] of this.underWay) {
      for (const [index, said] of left) {
        if (!isAboutAll && !isDone(said.seq)) continue;
        left.delete(index);
        fates.push({seq: said.seq, id: said.id, outcome: "accepted", code: "", pointer: null});
      }
      if (!left.size) this.underWay.delete(number);
    }
    return fates;
  }
}

function refused({seq, id}, {code, pointer}) {
  const outcome = code === "lane_shed" ? "shed" : "refused";
  return {seq, id, outcome, code, pointer: pointer ?? null};
}

function eventsFrame(texts) {
  return `{"op":"events","events":[${texts.join(",")}]}`;
}

export class EdgeClient extends EventTarget {
  #url;
  #fetchToken;
  #outbox = new Outbox();
  #jitter = new Jitter(KNOCK_MS);
  #state = "away";
  #socket = null;
  #timer = 0;
  #name = ""; // of the session: from the first welcome on
  #knockMs = -Infinity;
  #patienceMs = Infinity; // until welcome, or the close after bye
  #welcomedMs = Infinity;
  #renewMs = Infinity;
  #aheadMs = 0; // the gateway's clock before ours
  #need = "connect"; // of which token
  #token = null; // to be said on this socket
  #tokenFrame = 0;
  #frames = 0;
  #sentMs = []; // of the frames of the last second
  #bye = null;
  #lateMs = []; // until when each handshake that had no welcome may arrive, in that order

  /**
   * @param {object} options
   * @param {string} options.url ws://HOST:PORT or wss://HOST of the gateway; without ? and #
   * @param {(why: string) => Promise<?string>} options.token An access token, or null: there
   *   is none now. Why: "connect"; "refused": the last handshake was, and a page is not told
   *   whether for the token; "spent": another one than the last.
   * @param {string} options.k Keeps the session on one node; stable, never a secret
   * @param {string[]} options.topics Of pushes
   */
  constructor({url, token, k, topics = []}) {
    super();
    const door = new URL(url);
    if (!/^wss?:$/.test(door.protocol) || door.search || door.hash) {
      throw new TypeError("give a ws: or wss: URL without query and fragment");
    }
    const query = new URLSearchParams({k});
    if (topics.length) query.set("topics", topics.join(","));
    door.pathname = `${door.pathname.replace(/\/+$/, "")}/v1/stream`;
    door.search = query;
    door.hash = ""; // or an empty one stays, and WebSocket takes none
    this.#url = door.href;
    this.#fetchToken = token;
  }

  get state() {
    return this.#state;
  }

  /** How many events have no fate yet. */
  get unsettled() {
    return this.#outbox.unsettled;
  }

  /** Connect, and come back after any end that is not final. */
  start() {
    this.#mayBeLate(performance.now()); // one of the page before
    this.#step();
  }

  /** Leave for good; what has no fate yet keeps none. */
  stop() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timer);
    this.#enter("over", "you left");
    socket?.close(1000);
  }

  /** Take one event; session and seq are added when it is sent. Throws when it cannot be sent. */
  say(event) {
    if (this.#outbox.unsettled >= UNSETTLED_MAX) throw new RangeError("too many under way");
    if (typeof event.id !== "string" || "seq" in event || "session" in event) {
      throw new TypeError("an event has an id, and gets its session and number here");
    }
    if (TEXT.encode(JSON.stringify(event)).length > EVENT_BYTES_MAX) {
      throw new RangeError("too large for a frame");
    }
    this.#outbox.fresh.push(event);
    this.#step();
  }

  /** Do all there is to do now, and set the one timer for the rest. */
  #step() {
    clearTimeout(this.#timer);
    let dueMs;
    do dueMs = this.#act(performance.now());
    while (dueMs === -Infinity);
    if (dueMs === Infinity) return;
    const waitMs = Math.min(Math.max(dueMs - performance.now(), 0), TIMER_MAX_MS);
    this.#timer = setTimeout(() => this.#step(), waitMs);
  }

  /** Do one thing; return when to look again: -Infinity is at once. */
  #act(nowMs) {
    switch (this.#state) {
      case "away":
        if (nowMs < this.#knockMs) return this.#knockMs;
        this.#knock();
        return Infinity;
      case "greeting":
      case "leaving":
        if (nowMs < this.#patienceMs) return this.#patienceMs;
        this.#lose(CUT, `${this.#state} took too long`);
        return -Infinity;
      case "open":
        return this.#talk(nowMs);
      default:
        return Infinity;
    }
  }

  async #knock() {
    this.#enter("knocking", "");
    const token = await this.#tokenOrNull(this.#need);
    if (this.#state !== "knocking") return;
    if (token === null) this.#lose(this.#need === "spent" ? SPENT : CUT, "no token");
    else this.#greet(token);
    this.#step();
  }

  #greet(token) {
    let socket;
    try {
      // The token travels beside the subprotocol: a page sets no headers, and an URL is logged.
      socket = new WebSocket(this.#url, [SUBPROTOCOL, `bearer.${token}`]);
    } catch ({name}) {
      // Its message quotes the token. The URL is one, so a SyntaxError is the token's, and only
      // another one can do better; else the browser lets this page open no such socket.
      if (name === "SyntaxError") this.#lose(SPENT, "what came as a token is none");
      else this.#lose(CUT, name);
      return;
    }
    this.#listen(socket);
    this.#patienceMs = performance.now() + WELCOME_MS;
    this.#enter("greeting", "");
  }

  #listen(socket) {
    this.#socket = socket;
    // A socket that was given up may still tell something: nobody listens then.
    const whileOurs = (act) => (heard) => {
      if (this.#socket !== socket) return;
      act(heard);
      this.#step();
    };
    socket.addEventListener("message", whileOurs(({data}) => this.#hear(data)));
    socket.addEventListener("close", whileOurs(({code, reason}) => this.#lose(code, reason)));
  }

  #talk(nowMs) {
    const outbox = this.#outbox;
    const verdictMs = outbox.oldestMs + VERDICT_MS;
    if (nowMs >= verdictMs) {
      this.#lose(CUT, "no verdicts");
      return -Infinity;
    }
    if (nowMs >= this.#renewMs) {
      this.#renewMs = Infinity;
      this.#renew();
    }
    let dueMs = this.#freeMs(nowMs);
    if (nowMs >= dueMs) {
      if (this.#speak(nowMs)) return -Infinity;
      dueMs = Math.min(outbox.dueMs, this.#helloMs());
    }
    return Math.min(dueMs, verdictMs, this.#renewMs);
  }

  /** Send one frame, if there is something to say; return whether there was. */
  #speak(nowMs) {
    const outbox = this.#outbox;
    const number = this.#frames + 1;
    if (this.#token && outbox.stepAside(number, nowMs)) {
      this.#tokenFrame = number;
      this.#send(JSON.stringify({op: "token", token: this.#token}), nowMs);
      this.#token = null;
      return true;
    }
    let events = outbox.next(nowMs);
    if (events === null) {
      if (nowMs < this.#helloMs()) return false;
      events = [];
    }
    const text = eventsFrame(events.map((said) => said.text));
    outbox.sent(number, events, TEXT.encode(text).length, nowMs);
    for (const {seq, id} of events) this.#tell("said", {seq, id, again: outbox.isResending});
    this.#send(text, nowMs);
    return true;
  }

  #send(text, nowMs) {
    this.#frames += 1;
    this.#sentMs.push(nowMs);
    this.#socket.send(text);
  }

  /** Return when another frame may go out: at most so many in any second. */
  #freeMs(nowMs) {
    while (this.#sentMs[0] <= nowMs - 1000) this.#sentMs.shift();
    const most = Math.max(1, Math.floor(PACE_SHARE * this.#outbox.limits.frames_per_s));
    return this.#sentMs.length >= most ? this.#sentMs[0] + 1000 : -Infinity;
  }

  /** Return when to say something although there is nothing to say. */
  #helloMs() {
    return this.#frames ? Infinity : this.#welcomedMs + HELLO_MS;
  }

  #hear(data) {
    const nowMs = performance.now();
    let word;
    try {
      word = JSON.parse(data);
    } catch {
      return this.#breakOff("what came is no JSON");
    }
    if (this.#state === "leaving") return undefined;
    if ((this.#state === "greeting") !== (word.op === "welcome")) {
      return this.#breakOff("one welcome, and that first");
    }
    switch (word.op) {
      case "welcome":
        return this.#welcome(word, nowMs);
      case "verdicts":
        return this.#judge(word, nowMs);
      case "renewed":
        this.#outbox.aside = null;
        this.#countDown(word.expires_at_ms, nowMs);
        return this.#enter("open", "the token is renewed");
      case "expiring":
        // Infinite: another token is on its way.
        if (this.#renewMs < Infinity) this.#renewMs = nowMs;
        return undefined;
      case "push":
        return this.#tell("push", {event: word.event});
      case "bye":
        this.#bye = word;
        this.#patienceMs = nowMs + LEAVE_MS;
        return this.#enter("leaving", word.reason);
      default:
        return undefined; // A newer gateway may say more.
    }
  }

  #welcome(word, nowMs) {
    if (this.#name && this.#name !== word.session) {
      return this.#breakOff("welcome to another session than before");
    }
    this.#name = word.session;
    this.#welcomedMs = nowMs;
    this.#frames = this.#tokenFrame = 0;
    this.#sentMs = [];
    this.#token = null;
    this.#need = "connect";
    this.#aheadMs = word.server_time_ms - nowMs;
    this.#countDown(word.expires_at_ms, nowMs);
    this.#outbox.greet(word);
    const known = word.known ? "the node knows this session" : "the node does not know it";
    return this.#enter("open", `${known}; it expects number ${word.next_seq}`);
  }

  #judge(word, nowMs) {
    this.#jitter.rest();
    if (word.refused.some(({frame}) => frame === this.#tokenFrame)) {
      this.#renewMs = nowMs + FETCH_AGAIN_MS;
    }
    for (const fate of this.#outbox.hear(word, nowMs)) this.#tell("fate", fate);
  }

  #countDown(expiresAtMs, nowMs) {
    const endMs = expiresAtMs - this.#aheadMs;
    this.#renewMs = endMs - Math.max(Math.min(RENEW_MS, (endMs - nowMs) / 2), 0);
  }

  async #renew() {
    const socket = this.#socket;
    const token = await this.#tokenOrNull("spent");
    if (this.#socket !== socket || this.#state !== "open") return;
    if (token === null) this.#renewMs = performance.now() + FETCH_AGAIN_MS;
    else this.#token = token;
    this.#step();
  }

  /** Ask for a token; one that does not come in time is none now. */
  async #tokenOrNull(why) {
    let timer;
    const tooLate = new Promise((resolve) => {
      timer = setTimeout(resolve, TOKEN_MS, null);
    });
    try {
      return await Promise.race([this.#fetchToken(why), tooLate]);
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  /** End a socket on which the gateway does not keep its contract. */
  #breakOff(why) {
    this.#socket.close(4000, why);
    this.#lose(1002, why);
  }

  /** The socket ended, or did not come to be, or is as good as dead. */
  #lose(code, why) {
    const nowMs = performance.now();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    const wasWelcomed = this.#welcomedMs < Infinity;
    const end = this.#bye?.code ?? code; // what it said counts, whatever came through behind it
    const askedMs = Math.min(this.#bye?.reconnect_after_ms ?? 0, ASKED_MAX_MS);
    if (nowMs - this.#welcomedMs >= STEADY_MS) this.#jitter.rest();
    if (end === SPENT) this.#need = "spent";
    else if (!wasWelcomed && socket !== null) this.#need = "refused";
    // Refused or unanswered, a page is not told.
    if (!wasWelcomed && socket !== null && end === CUT) this.#mayBeLate(nowMs);
    const isOver = FINAL_CODES.has(end) && !(end === REPLACED && this.#wasGhost(nowMs));
    this.#outbox.lose();
    this.#bye = this.#token = null;
    this.#welcomedMs = this.#renewMs = Infinity;
    this.#knockMs = nowMs + askedMs + this.#jitter.draw();
    this.#enter(isOver ? "over" : "away", why || `closed, ${end}`);
  }

  /** Note that a handshake may arrive yet that we wait for no more. */
  #mayBeLate(nowMs) {
    this.#lateMs = [...this.#lateMs, nowMs + LATE_MS].slice(-LATE_MAX);
  }

  /** Return whether a newer socket may have been such a one; each excuses one end. */
  #wasGhost(nowMs) {
    this.#lateMs = this.#lateMs.filter((endMs) => endMs > nowMs);
    return this.#lateMs.shift() !== undefined;
  }

  #enter(state, why) {
    this.#state = state;
    this.#tell("state", {state, why});
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, {detail}));
  }
}
