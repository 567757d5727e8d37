// The page: gets a message from the worker once per second, and shows it. Text from the network is only ever shown as text.

const SILENCE = 5; // seconds without a message: then the page says that the worker is lost
const AGAIN = 2000; // milliseconds to the next attempt to connect to it
const KEPT = 900; // samples: 15 minutes
const YOUNG = 30; // seconds: a worker of that age that has seen no event yet is not stalled, but starting
const FIRST = ["not_connected", "lag"]; // the only reasons of a worker that has never been connected

const WORDS = { ready: "Live", behind: "Catching up", starting: "Starting", standby: "Standing by", stopping: "Stopping", stalled: "Stalled", lost: "Lost" };
const REASONS = { stopping: "Stopping", decision: "A decision is needed", database: "Database", not_connected: "Relay not connected", lag: "Behind" };
const ICONS = {
  ready: ["#1a9c4b", "M9 16.5l5 5 9-11"],
  behind: ["#c77c02", "M16 9v8l5 4"],
  starting: ["#3b78c9", "M10 16h.1M16 16h.1M22 16h.1"],
  standby: ["#3b78c9", "M12 10v12M20 10v12"],
  stopping: ["#6a737d", "M11 11h10v10h-10z"],
  stalled: ["#d12c20", "M16 8v10M16 23.5v.1"],
  lost: ["#d12c20", "M11 11l10 10M21 11l-10 10"],
};

// What is known.

let now = null; // the last message
let heard = 0; // when it came, by this browser's clock, in seconds; 0: never
let offset = 0; // the worker's clock minus ours, seconds
let samples = []; // [time by the worker's clock, events per second, lag or null], in order
let source = null;
let asked = 0; // when the worker was last asked
let begun = Infinity; // when the worker was started, by its own clock, seconds
let again = null; // the same, where another ran before while this page was open

const rateChart = new Chart($("rate-chart"), {
  title: "Events per second", value: sample => sample[1], format: value => `${rate(value)} per second`, mark: value => whole.format(value),
  steps: [1, 2, 5].flatMap(one => [0, 1, 2, 3, 4, 5].map(power => one * 10 ** power)).sort((a, b) => a - b),
  powers: [1, 10, 100, 1e3, 1e4, 1e5, 1e6], least: 8, spread: 5, readout: $("rate-readout"),
});
const lagChart = new Chart($("lag-chart"), {
  title: "Lag behind the relay", value: sample => sample[2], format: duration, mark: span,
  steps: [0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800],
  powers: [0.1, 1, 10, 60, 600, 3600, 21600, 86400, 604800, 6048000], least: 0.8, spread: 0.5, readout: $("lag-readout"),
});
rateChart.onpoint = lagChart.onpoint = time => {
  for (const chart of [rateChart, lagChart]) {
    chart.at = time;
    if (chart.span) chart.drawOver();
  }
};

// Messages.

function listen() {
  if (source) source.close();
  asked = Date.now();
  source = new EventSource("live");
  source.addEventListener("past", event => {
    const past = JSON.parse(event.data);
    if (now && now.version !== past.version) location.reload(); // its page is another too
    if (now && now.relay !== past.relay) samples = [];
    const start = past.time - past.uptime;
    if (start > begun + 2) again = start;
    begun = start;
    const begin = past.samples.length ? past.samples[0][0] : past.time;
    samples = samples.filter(sample => sample[0] < begin); // of a worker before this one, say
    take(past);
  });
  source.addEventListener("now", event => take(JSON.parse(event.data)));
  source.onerror = () => source.close(); // `tick` asks again: a browser itself gives up after some errors
}

function take(message) {
  now = message;
  heard = Date.now() / 1000;
  offset = message.time - heard;
  const last = samples.length ? samples.at(-1)[0] : 0;
  samples = samples.concat(message.samples.filter(sample => sample[0] > last)).slice(-KEPT);
  keepPosts(message.posts);
  showState();
  if (!document.hidden) show();
}

function tick() {
  const since = Date.now() - Math.max(asked, heard * 1000);
  if (since > AGAIN * (source.readyState === EventSource.CLOSED ? 1 : 5)) listen();
  showState();
  if (!document.hidden && now && Date.now() / 1000 - heard > 1.5) draw();
}

// The state.

function state() {
  if (!now) return Date.now() / 1000 - opened > SILENCE ? "lost" : null;
  if (Date.now() / 1000 - heard > SILENCE) return "lost";
  if (because("stopping")) return "stopping";
  const young = now.lag === null && now.uptime < YOUNG;
  return now.state === "stalled" && (young || notYet()) ? "starting" : now.state;
}

// Whether the relay was never reached: then nothing has stopped.
function notYet() {
  return !now.was_connected && now.reasons.some(reason => reason.name === "not_connected") && now.reasons.every(reason => FIRST.includes(reason.name));
}

const because = name => now.reasons.some(reason => reason.name === name);

function showState() {
  const name = state();
  if (name === null) return;
  document.documentElement.dataset.state = name;
  const word = name === "starting" && notYet() ? "Not connected yet" : name === "stalled" && because("decision") ? "Decision needed" : WORDS[name];
  set($("word"), word);
  set($("detail"), detail(name));
  const shown = name === "stalled" || name === "starting" ? now.reasons : [];
  // That no event has come says nothing where the relay is not connected.
  const listed = shown.filter(reason => !(reason.name === "lag" && now.lag === null && shown[0].name === "not_connected"));
  $("reasons").hidden = !listed.length;
  while ($("reasons").children.length > listed.length) $("reasons").lastChild.remove();
  listed.forEach((reason, place) => {
    const item = $("reasons").children[place] || $("reasons").appendChild(make("li", make("b"), make("span")));
    set(item.firstChild, REASONS[reason.name] ? `${REASONS[reason.name]}: ` : "");
    set(item.lastChild, REASONS[reason.name] ? reason.detail : reason.detail.replace(/^./, first => first.toUpperCase()));
  });
  set($("heard"), now ? `${again ? `worker started again at ${moment(again)}, ` : ""}last update at ${moment(heard)}` : "");
  const title = `${name === "stalled" ? word.toUpperCase() : word} · ${now ? now.relay : "unified-worker"}`;
  if (document.title !== title) document.title = title;
  const icon = drawn(...ICONS[name]);
  if ($("icon").getAttribute("href") !== icon) $("icon").setAttribute("href", icon);
}

function drawn(colour, path) {
  const mark = `<path d='${path}' fill='none' stroke='#fff' stroke-width='3.5' stroke-linecap='round' stroke-linejoin='round'/>`;
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns='${SVG}' viewBox='0 0 32 32'><circle cx='16' cy='16' r='15' fill='${colour}'/>${mark}</svg>`)}`;
}

function detail(name) {
  switch (name) {
    case "ready": return now.lag === null ? "No event has arrived yet." : `Everything that the relay sent up to ${now.lag < 1 ? "a moment" : duration(now.lag)} ago is in the database.`;
    case "behind": return `${duration(now.lag)} behind the relay, ${remaining()}.`;
    case "lost": return now ? `No message from the worker since ${moment(heard)}. The values below are from then; this page keeps trying.` : "The worker does not answer; this page keeps trying.";
    case "standby": return "Another worker writes this relay's events; this one takes its place when it ends.";
    case "stopping": return `${now.reasons[0].detail}: what was read is written, then the worker ends.`;
    case "stalled": return now.rate > 0 ? "Something is wrong:" : "Nothing is being written:";
    default: return "";
  }
}

// How long the lag will take at the pace at which it fell in the last minute.
function remaining() {
  const known = samples.filter(sample => sample[2] !== null && sample[0] > now.time - 60);
  const [first, last] = [known[0], known.at(-1)];
  if (!first || last[0] - first[0] < 5) return "catching up";
  const pace = (first[2] - last[2]) / (last[0] - first[0]);
  if (pace < 0.01) return "and not catching up";
  const seconds = last[2] / pace;
  if (seconds < 60) return "less than a minute left";
  return seconds < 5400 ? `about ${Math.round(seconds / 60)} min left` : `about ${Math.round(seconds / 3600)} h left`;
}

// The rest.

function show() {
  set($("version"), now.version);
  set($("relay"), short(now.relay));
  $("relay").title = now.relay;
  set($("rate"), rate(now.rate));
  set($("lag"), duration(now.lag));
  set($("p50"), latency(now.latency.p50));
  set($("p99"), latency(now.latency.p99));
  set($("finished"), number(now.finished));
  set($("uptime"), duration(now.uptime));
  set($("received"), number(now.received_seq));
  set($("cursor"), number(now.cursor));
  set($("waiting"), `${number(now.lanes.reduce((sum, lane) => sum + lane.events, 0))}`);
  set($("rss"), bytes(now.rss));
  draw();
  showCollections();
  showCounts();
  showTrust();
  showShares();
  showBackfill();
  showStages();
  showReconnects();
  showPosts();
}

function draw() {
  const end = Date.now() / 1000 + offset;
  lagChart.limit = now.ready_lag;
  rateChart.show(samples, end);
  lagChart.show(samples, end);
}

const opened = Date.now() / 1000;
document.addEventListener("visibilitychange", () => { if (!document.hidden && now) show(); });
listen();
setInterval(tick, 1000);
