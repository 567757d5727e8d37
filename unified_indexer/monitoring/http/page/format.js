"use strict";
// Numbers and times for people: units always, digits as many as mean something.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const number = value => (value === null ? "–" : whole.format(value));
const rate = value => (value >= 10 || value === 0 ? whole : tenths).format(value);
const two = value => String(value).padStart(2, "0");

function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds > 0 && seconds < 0.05) return "< 0.1 s";
  if (seconds < 9.95) return `${tenths.format(seconds)} s`;
  if (seconds < 119.5) return `${whole.format(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(seconds / 3600);
  return minutes < 600 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function latency(seconds) {
  if (seconds === null) return "–";
  const thousandths = seconds * 1000;
  return seconds >= 1 ? duration(seconds) : `${(thousandths < 9.95 ? tenths : whole).format(thousandths)} ms`;
}

function bytes(value) {
  if (value === null) return "–";
  const power = Math.min(3, Math.floor(Math.log10(Math.max(value, 1)) / 3));
  const scaled = value / 1000 ** power;
  return `${(power && scaled < 10 ? tenths : whole).format(scaled)} ${["B", "kB", "MB", "GB"][power]}`;
}

function clock(time, seconds) {
  const at = new Date(time * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}${seconds ? `:${two(at.getSeconds())}` : ""}`;
}

function moment(time) {
  const at = new Date(time * 1000);
  const day = at.toDateString() === new Date().toDateString() ? "" : `${two(at.getMonth() + 1)}-${two(at.getDate())} `;
  return day + clock(time, true);
}

// A name that may be very long (a host's 253 characters): its beginning and its end.
function short(name) {
  return name.length > 60 ? `${name.slice(0, 36)}…${name.slice(-20)}` : name;
}

// A length that a scale's mark stands at, in the largest unit that it is a multiple of.
function span(seconds) {
  const [unit, length] = [["d", 86400], ["h", 3600], ["min", 60]].find(([, size]) => seconds % size === 0) || ["s", 1];
  return `${Number((seconds / length).toFixed(1))} ${unit}`;
}
