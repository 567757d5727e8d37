// The page's tables and lists: made once, then only their words change.

const QUIET_AFTER = 60; // seconds without an operation: then a collection is folded away
const POSTS = 12;
// Name in the message, words for it, whether somebody must act, and how; %: the command.
const COUNTS = [
  ["refused", "Refused", true, "Kept where possible: %dead-letters% shows what and why, %dead-letters retry% tries again.", "refused"],
  ["dead_letters", "Dead letters", true, "%dead-letters% lists them; correct the fault, then %dead-letters retry% applies them again."],
  ["frames_dropped", "Letters without frame", true, "No more room for frames: retry, or %dead-letters drop% those of no use."],
  ["gaps", "Gaps", true, "Missing ranges of the stream; %status% lists them."],
  ["rev_forks", "Rev forks", true, "Commits with the stored rev but other content; the stored one stays."],
  ["doubts", "Doubts", true, "Applied, though something of the repo is missing: it is marked desynchronised.", "doubts"],
  ["filtered", "Filtered", false, "Left out on purpose: inactive accounts, COLLECTIONS, ACCOUNTS.", "filtered"],
  ["stale", "Stale commits", false, "Not newer than the stored ones; normal after a restart."],
  ["stale_messages", "Stale messages", false, "#account and #identity, not newer than the stored ones."],
];

const NAMED = 5; // names of a count that are shown; the metrics have all
const LONG = 150; // letters of names: they get all columns of a list

const $ = id => document.getElementById(id);
const make = (name, ...children) => {
  const made = document.createElement(name);
  made.append(...children);
  return made;
};
const set = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const total = counts => (typeof counts === "number" ? counts : Object.values(counts).reduce((sum, count) => sum + count, 0));

const collections = new Map(); // by name: its row, and when it was busy last

// Where cards stand beside one another there is room for all; on a phone the quiet ones are folded.
const beside = matchMedia("(min-width: 56rem)");
const fold = () => { $("quiet").closest("details").open = beside.matches; };
beside.addEventListener("change", fold);
fold();

function showCollections() {
  const most = Math.max(...now.collections.map(one => one.rate), 1e-9);
  for (const one of now.collections) {
    let kept = collections.get(one.collection);
    if (!kept) {
      kept = { row: collectionRow(one.collection), busy: -Infinity, rate: 0 };
      collections.set(one.collection, kept);
    }
    if (one.rate > 0) kept.busy = now.time;
    kept.rate = one.rate;
    const [, perSecond, bar, put, deleted] = kept.row.children;
    set(perSecond, rate(one.rate));
    bar.firstChild.firstChild.style.transform = `scaleX(${(one.rate / most).toFixed(3)})`;
    set(put, number(one.put));
    set(deleted, number(one.deleted));
  }
  const all = [...collections.values()];
  const busy = all.filter(kept => kept.busy >= now.time - QUIET_AFTER);
  const quiet = busy.length ? all.filter(kept => !busy.includes(kept)) : []; // where all are, none is folded away
  arrange($("busy"), busy.length ? busy : all);
  arrange($("quiet"), quiet);
  $("quiet").closest("details").hidden = !quiet.length;
  set($("quiet-title"), `${quiet.length} quiet`);
}

function collectionRow(name) {
  const parts = name.split(".").length > 2 ? /^(\w+\.\w+\.)(.+)$/.exec(name) : ["", "", name === "other" ? "every other" : name];
  const prefix = make("span", parts[1]);
  prefix.className = "prefix";
  const head = make("th", prefix, parts[2]);
  head.scope = "row";
  head.title = name;
  const deleted = make("td");
  deleted.className = "wide";
  return make("tr", head, make("td"), make("td", meter()), make("td"), deleted);
}

// By rate; rows change places only where they clearly differ, so that the table keeps still.
function arrange(body, wanted) {
  const place = new Map([...body.children].map((row, at) => [row, at]));
  wanted.sort((a, b) => (place.get(a.row) ?? 99) - (place.get(b.row) ?? 99) || b.rate - a.rate);
  for (let at = 1; at < wanted.length; at += 1) {
    for (let up = at; up > 0 && wanted[up].rate > wanted[up - 1].rate * 1.2 + 0.1; up -= 1) {
      [wanted[up - 1], wanted[up]] = [wanted[up], wanted[up - 1]];
    }
  }
  wanted.forEach((kept, at) => { if (body.children[at] !== kept.row) body.insertBefore(kept.row, body.children[at] || null); });
}

function meter() {
  const bar = make("div", make("i"));
  bar.className = "bar";
  return bar;
}

function showCounts() {
  const rows = COUNTS.map(([name, words, grave, remedy, named]) => [words, number(total(now[name])), grave, named ? listed(now[named]) : "", remedy]);
  if (now.publish) {
    const { waiting, failing } = now.publish;
    rows.push(["To be published", number(waiting), failing > 0, failing ? `nothing was taken for ${duration(failing)}` : "", "Entries that the server of PUBLISH does not have yet; they wait in the database."]);
  }
  showRows($("counts"), rows);
}

// The largest of these counts, with their names.
function listed(counts) {
  const sorted = Object.entries(counts).sort((a, b) => b[1] - a[1]);
  const more = sorted.length - NAMED;
  const shown = sorted.slice(0, more > 1 ? NAMED : sorted.length).map(([name, times]) => `${short(bare(name))}\u00a0${number(times)}`);
  return shown.join(", ") + (more > 1 ? `, and ${more} others` : "");
}

const bare = name => (name === "other" ? "other hosts" : name.replace(/^https:\/\//, ""));

const LEVELS = {
  full: "Each commit is proven by its account's key and the repo's tree; while the key is not known, when it comes.",
  signatures: "Each commit is signed by its account's key (while the key is not known, checked when it comes); changes may be hidden in one.",
  off: "Nothing is proven: the relay is believed.",
};

function showTrust() {
  const trust = now.trust;
  set($("trust-level"), LEVELS[trust.verify]);
  const silent = trust.directory_silence !== null;
  const rows = [
    ["Unproven repos", number(trust.unproven), false, trust.unproven_age === null ? "" : `the oldest for ${duration(trust.unproven_age)}`, "They wait for their account's key; all they wrote is proven when it comes."],
    ["Directory", silent ? `silent for ${duration(trust.directory_silence)}` : "answers", silent, "", "Known keys count on; see PLC_URL and the network."],
    ["Bad signatures", number(total(trust.bad_signatures)), true, listed(trust.bad_signatures), "Refused. Of many hosts: the relay forges; of one: its keys are out of date."],
    ["Deletions to confirm", number(trust.deletions_unconfirmed), false, "", "Hidden, and nothing is wiped before the account's own server says so."],
    ["Deletions denied", number(trust.deletions_denied), true, "", "The relay was wrong about these accounts; they are shown again."],
    ["Withheld repos", number(trust.withheld), true, "", "Their servers have commits that the relay never sent: %check --network 60% asks more."],
  ];
  $("trust").hidden = trust.verify === "off";
  showRows($("trust"), rows);
}

// Rows of: words, what is so, whether somebody must act on it, what it consists of, and what it means (%: a command).
// Of several workers: how far each is behind the relay. The one that keeps house changes, so it is named beside.
function showShares() {
  $("shares-card").hidden = !now.shares.length;
  showRows($("shares"), now.shares.map(({ lag, works, keeper }, at) => [
    `${at + 1} of ${now.shares.length}${at + 1 === now.share ? " (this worker)" : ""}`, duration(lag), !works,
    works ? (keeper ? "Does for all what is done once: wipes, finding repos, counts." : "") : "No worker has this share.", "",
  ]));
}

function showRows(list, rows) {
  rows.forEach(([words, value, grave, named, remedy], place) => {
    const row = list.children[place] || list.appendChild(countRow(words, remedy));
    const some = value !== "0" && value !== "answers";
    row.className = some ? (grave ? "grave" : "some") : "none";
    row.classList.toggle("long", some && named.length > LONG);
    const [, shown, names, note] = row.children;
    set(shown.firstChild, value);
    set(names, named);
    names.hidden = !some || !named;
    note.hidden = !some || !remedy;
  });
}

function countRow(words, remedy) {
  const [names, note] = [make("dd"), make("dd", ...remedy.split("%").map((part, at) => (at % 2 ? make("code", part) : part)))];
  names.className = "named";
  note.className = "note";
  return make("div", make("dt", words), make("dd", make("span")), names, note);
}

const HELD = {
  paused: "Paused: backfill resume ends that.",
  stream: "Waits: the stream has much to write.",
  disk: "Waits: the database's disk has less than 10 % free.",
  size: "Waits: the database is as large as BACKFILL_DATABASE_LIMIT allows.",
};

function showBackfill() {
  const known = now.backfill;
  $("backfill-card").hidden = !known;
  if (!known) return;
  set($("backfill-now"), known.idle ? "Nothing is left to fetch." : known.held ? HELD[known.held] : pace(known));
  $("backfill-bar").hidden = known.idle || known.share === null;
  $("backfill-bar").firstChild.style.transform = `scaleX(${(known.share ?? 0).toFixed(3)})`;
  const percent = known.share === null || known.idle ? "" : `${Math.floor(100 * known.share)} % of what was asked for`;
  const hosts = known.hosts.slice(0, NAMED).map(([host, seconds, why]) => `${short(host)}\u00a0${why}, ${duration(seconds)}`);
  const parked = hosts.join("; ") + (known.parked > hosts.length ? `; and ${known.parked - hosts.length} others` : "");
  showRows($("backfill"), [
    ["Repos left", `${number(Math.ceil(known.left))}${known.unsized ? " +" : ""}`, false, percent, "%backfill% shows which backfills they are of."],
    ["Repos done", number(known.done), false, known.done ? `${number(known.records)} records` : "", ""],
    ["Failed", number(known.failed), true, "", "Tried once a day: %backfill% shows why."],
    ["Not given out", number(known.unavailable), false, "", "Their hosts say that they are deactivated, taken down or gone."],
    ["Lists waiting", number(known.waiting), true, "", "Backfills whose lists could not be read: %backfill% shows why."],
    ["Hosts parked", number(known.parked), false, parked, "Not asked for this long: they said so (limited), or failed (overloaded)."],
  ]);
}

function pace(known) {
  const fast = `${number(Math.round(known.records_per_second))} records per second`;
  if (!known.eta) return fast;
  const [low, high] = known.eta.map(duration);
  return `${fast}, ${known.eta[1] <= 1.2 * known.eta[0] || low === high ? `about ${high}` : `${low} to ${high}`} left`;
}

function showStages() {
  const { pool, lanes } = now;
  const bars = [["Connections", pool.busy, pool.size, "busy"], ...lanes.map((lane, at) => [`Lane ${at}`, lane.events, lane.limit, `events, ${bytes(lane.bytes)}`])];
  while ($("stages").children.length > bars.length) $("stages").lastChild.remove();
  bars.forEach(([words, used, limit, unit], place) => {
    const row = $("stages").children[place] || $("stages").appendChild(make("tr", make("th"), make("td", meter()), make("td")));
    row.firstChild.scope = "row";
    set(row.firstChild, words);
    row.querySelector("i").style.transform = `scaleX(${Math.min(1, used / limit).toFixed(3)})`;
    row.className = used >= limit ? "full" : "";
    set(row.lastChild, `${number(used)} of ${number(limit)}`);
    row.title = `${words}: ${number(used)} of ${number(limit)} ${unit}`;
  });
}

function showReconnects() {
  set($("reconnects-count"), now.reconnects ? `${number(now.reconnects)} since start` : "none since start");
  const key = reconnect => `${moment(reconnect.time)} ${reconnect.times} ${reconnect.why}`;
  if (now.last_reconnects.map(key).join("\n") === [...$("reconnects").children].map(item => item.dataset.key).join("\n")) return;
  $("reconnects").replaceChildren(...now.last_reconnects.map(reconnect => {
    const times = reconnect.times > 1 ? ` (${number(reconnect.times)} times, this was the last)` : "";
    const item = make("li", make("time", moment(reconnect.time)), make("span", reconnect.why + times));
    item.dataset.key = key(reconnect);
    item.title = reconnect.why;
    return item;
  }));
}

let posts = []; // the newest first

function keepPosts(fresh) {
  const known = new Set(posts.map(post => post.uri));
  posts = [...fresh.filter(post => !known.has(post.uri)), ...posts].slice(0, POSTS);
}

// New ones on top, unless somebody points at the list or selects in it: then it keeps still.
function showPosts() {
  const list = $("posts"), selection = document.getSelection();
  const held = list.matches(":hover") || (!selection.isCollapsed && list.contains(selection.anchorNode));
  set($("posts-note"), !posts.length ? "none yet" : held ? "held while you point at them" : "some, as they are written");
  if (held) return;
  const shown = new Set([...list.children].map(item => item.dataset.uri));
  for (const post of posts.filter(one => !shown.has(one.uri)).reverse()) list.prepend(postItem(post));
  while (list.children.length > POSTS) list.lastChild.remove();
}

function postItem(post) {
  const text = make("p", post.text.replace(/\n\s*\n/g, "\n"));
  text.dir = "auto";
  const item = make("li", selectable("span", post.did), text, selectable("code", post.uri));
  item.dataset.uri = post.uri;
  return item;
}

// A click selects all of it, also what does not fit.
function selectable(name, text) {
  const made = make(name, text);
  made.title = text;
  return made;
}
