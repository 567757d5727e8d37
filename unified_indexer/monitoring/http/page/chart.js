// One line over the last minutes, in an SVG whose parts stay: each second only their places change.

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 52, RIGHT = 6, TOP = 8, BOTTOM = 20; // pixels around the plot
const HALF = 26; // pixels of a time's width
const UNKNOWN_AFTER = 3; // seconds from one sample to the next: then the line has a gap
const WINDOWS = [[120, 30], [300, 60], [900, 300]]; // seconds that are shown, seconds from one mark to the next

class Chart {
  // `svg`: where to draw; `title`: of what; `value(sample)`: the number, null if unknown; `format`: as text, with its unit.
  // `steps`: what linear marks may lie apart; `powers`: logarithmic marks; `least`: the lowest top of the scale;
  // `spread`: below this nothing is so high that the scale turns logarithmic.
  constructor(svg, options) {
    Object.assign(this, options, { svg, samples: [], at: null, limit: 0, logarithmic: false });
    this.marks = [];
    for (const name of ["grid", "area", "line", "over"]) {
      this[name] = element(svg, name === "grid" || name === "over" ? "g" : "path", name);
    }
    this.grid.classList.remove("grid");
    this.limitLine = element(this.over, "line", "limit");
    this.limitText = element(this.over, "text", "limit-text");
    this.cursor = element(this.over, "line", "cursor");
    this.dot = element(this.over, "circle", "dot");
    this.dot.setAttribute("r", 4);
    this.nothing = element(this.over, "text", "nothing");
    this.nothing.textContent = "nothing yet";
    new ResizeObserver(() => this.draw()).observe(svg);
    svg.addEventListener("pointermove", event => this.point(event.clientX));
    svg.addEventListener("pointerdown", event => this.point(event.clientX));
    svg.addEventListener("pointerleave", () => this.onpoint(null));
    svg.addEventListener("blur", () => {
      this.readout.removeAttribute("aria-live");
      this.onpoint(null);
    });
    svg.addEventListener("keydown", event => this.step(event));
  }

  // `samples`: in order of time. `end`: the time at the right edge.
  show(samples, end) {
    this.samples = samples;
    this.end = end;
    this.draw();
  }

  // The pointer is at this place of the window.
  point(clientX) {
    const box = this.svg.getBoundingClientRect();
    const time = this.end - this.span * (1 - (clientX - box.left - LEFT) / (box.width - LEFT - RIGHT));
    this.onpoint(time);
  }

  // Arrow keys move along the samples.
  step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30 }[event.key];
    if (event.key === "Escape") this.onpoint(null);
    if (!by || !this.samples.length) return;
    event.preventDefault();
    this.readout.setAttribute("aria-live", "polite"); // only while somebody asks
    const from = this.at === null ? this.samples.length - 1 : this.samples.indexOf(this.nearest());
    const to = Math.min(this.samples.length - 1, Math.max(0, from + by));
    this.onpoint(this.samples[to][0]);
  }

  nearest() {
    let best = null;
    for (const sample of this.samples) {
      if (best === null || Math.abs(sample[0] - this.at) < Math.abs(best[0] - this.at)) best = sample;
    }
    return best;
  }

  draw() {
    const width = this.svg.clientWidth, height = this.svg.clientHeight;
    if (!width || this.end === undefined) return;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.width = width;
    this.base = height - BOTTOM;
    const age = this.samples.length ? this.end - this.samples[0][0] : 0;
    const [span, every] = WINDOWS.find(([seconds]) => age <= seconds) || WINDOWS.at(-1);
    this.span = span;
    this.x = time => LEFT + (width - LEFT - RIGHT) * (1 - (this.end - time) / span);
    this.shown = this.samples.filter(sample => sample[0] >= this.end - span);
    this.values = this.shown.map(this.value).filter(value => value !== null);
    this.scale();
    this.drawMarks(every);
    this.drawLine();
    this.drawOver();
    this.tell();
  }

  // Chooses the scale: linear from 0, or logarithmic where the highest would press all else flat.
  scale() {
    const sorted = this.values.filter(value => value > 0).sort((a, b) => a - b);
    const most = sorted.at(-1) || 0, median = sorted[sorted.length >> 1] || 0;
    this.logarithmic = most > (this.logarithmic ? 10 : 20) * Math.max(median, this.spread);
    if (this.logarithmic) {
      const low = this.powers[0], top = this.powers.find(power => power >= most) || most;
      const whole = Math.log(top / low);
      this.y = value => this.base - (this.base - TOP) * Math.max(0, Math.log(Math.max(value, low) / low)) / whole;
      this.ticks = this.powers.filter(power => power <= top);
      this.top = top;
      return;
    }
    const reach = Math.max(most, this.least);
    const step = this.steps.find(size => size * 4 >= reach) || reach / 4;
    this.top = Math.ceil(reach / step - 1e-9) * step;
    this.y = value => this.base - (this.base - TOP) * value / this.top;
    this.ticks = !this.values.length ? [] : Array.from({ length: Math.round(this.top / step) + 1 }, (_, number) => number * step);
  }

  drawMarks(every) {
    const marks = this.ticks.map(tick => [this.y(tick), tick ? this.mark(tick) : "0", null]);
    // A scale tells nothing where no line is.
    for (let time = Math.ceil((this.end - this.span) / every) * every; this.values.length && time <= this.end; time += every) {
      marks.push([null, clock(time, every % 60 !== 0), this.x(time)]);
    }
    while (this.marks.length < marks.length) {
      this.marks.push([element(this.grid, "line", "grid"), element(this.grid, "text", "")]);
    }
    this.marks.forEach(([line, text], number) => {
      const [y, words, x] = marks[number] || [0, "", 0];
      put(line, y === null ? { x1: x, x2: x, y1: this.base, y2: this.base + 4 } : { x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y });
      put(text, y === null ? { x, y: this.base + 17, "text-anchor": "middle" } : { x: LEFT - 8, y: y + 4, "text-anchor": "end" });
      if (text.textContent !== words) text.textContent = words;
      text.style.display = y === null && (x < LEFT + 8 || x > this.width - HALF) ? "none" : "";
      line.style.display = marks[number] ? "" : "none";
    });
  }

  drawLine() {
    let line = "", area = "", from = null, last = null;
    const close = () => { if (from !== null) area += `L${last} ${this.base}L${from} ${this.base}Z`; };
    let before = -Infinity;
    for (const sample of this.shown) {
      const value = this.value(sample);
      if (value === null) continue;
      const x = this.x(sample[0]).toFixed(1), y = this.y(value).toFixed(1);
      const joined = sample[0] - before <= UNKNOWN_AFTER;
      if (!joined) {
        close();
        from = x;
      }
      line += joined ? `L${x} ${y}` : `M${x} ${y}h0`;
      area += joined ? `L${x} ${y}` : `M${x} ${this.base}L${x} ${y}`;
      last = x;
      before = sample[0];
    }
    close();
    put(this.line, { d: line });
    put(this.area, { d: area });
  }

  // The limit, and what is pointed at.
  drawOver() {
    const some = this.values.length > 0;
    put(this.nothing, { x: this.width / 2, y: this.base / 2 + TOP });
    this.nothing.style.display = some ? "none" : "";
    const limited = some && this.limit > 0 && this.limit <= this.top;
    for (const node of [this.limitLine, this.limitText]) node.style.display = limited ? "" : "none";
    if (limited) {
      const y = this.y(this.limit);
      put(this.limitLine, { x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y });
      put(this.limitText, { x: LEFT + 4, y: y < TOP + 14 ? y + 13 : y - 4 });
      this.limitText.textContent = `ready up to ${this.format(this.limit)}`;
    }
    const sample = this.at === null ? null : this.nearest();
    const value = sample && Math.abs(sample[0] - this.at) <= UNKNOWN_AFTER ? this.value(sample) : null;
    this.cursor.style.display = this.at === null || !some ? "none" : "";
    this.dot.style.display = value === null ? "none" : "";
    const time = value === null ? this.at : sample[0];
    if (this.at !== null) put(this.cursor, { x1: this.x(time), x2: this.x(time), y1: TOP, y2: this.base });
    if (value !== null) put(this.dot, { cx: this.x(time), cy: this.y(value) });
    const pointed = `${clock(time, true)}  ${value === null ? "not known" : this.format(value)}`;
    const scale = this.logarithmic ? ", log scale" : "";
    const shown = some ? `last ${this.span / 60} minutes${scale}` : "";
    this.readout.textContent = this.at === null || !some ? shown : pointed;
  }

  // What the line says, for those who can't see it.
  tell() {
    const last = this.shown.length ? this.value(this.shown.at(-1)) : null;
    const [low, high] = [Math.min(...this.values), Math.max(...this.values)];
    const said = this.values.length ? `lowest ${this.format(low)}, highest ${this.format(high)}, ` : "";
    const now = last === null ? "not known now" : `now ${this.format(last)}`;
    this.svg.setAttribute("aria-label", `${this.title}, last ${this.span / 60} minutes: ${said}${now}`);
  }
}

function element(parent, name, className) {
  const made = parent.appendChild(document.createElementNS(SVG, name));
  if (className) made.setAttribute("class", className);
  return made;
}

function put(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, typeof value === "number" ? Math.round(value * 10) / 10 : value);
  }
}
