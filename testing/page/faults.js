// What is wrong with how the page looks now, a sentence for each; run in the page, as one function.
() => {
  const SLACK = 1; // pixels: half ones are rounded
  const ROOM = 5; // pixels between two numbers
  const LEAST_CONTRAST = 4.5; // of any text, whatever its size
  const HOLE = 15, HOLE_IN_CARD = 10, HOLE_WIDE = 5; // sizes of a letter: what is empty may not be as high and as wide
  const AROUND = 2; // the same: what is so near beside a text is no hole
  const STEP = 10; // pixels
  const LONG_LIST = 40; // sizes of a letter: a list that is as wide and as high has room for two columns
  const found = [], texts = [];
  const wide = document.documentElement.scrollWidth, screen = document.documentElement.clientWidth;
  if (wide > screen) found.push(`the page is ${wide} pixels wide, the screen ${screen}`);

  const seen = node => node.checkVisibility() && !node.closest(".unseen");
  const name = (node, words) => `${node.closest("[id]")?.id || node.tagName}: “${words.trim().slice(0, 40)}”`;
  const channel = value => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const numbers = colour => colour.match(/[\d.]+/g).map(Number);
  const behind = node => {
    const colour = numbers(getComputedStyle(node).backgroundColor);
    return colour.length === 3 || colour[3] === 1 ? colour : behind(node.parentElement);
  };
  const contrast = node => {
    const style = getComputedStyle(node);
    const [dark, bright] = [light(numbers(node instanceof SVGElement ? style.fill : style.color)), light(behind(node))].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode, parent = text.parentElement;
    if (!text.data.trim() || parent.matches("script, style, noscript *") || !seen(parent)) continue;
    if (contrast(parent) < LEAST_CONTRAST) found.push(`too pale (${contrast(parent).toFixed(1)}), ${name(parent, text.data)}`);
    const range = document.createRange();
    range.selectNodeContents(text);
    let boxes = [...range.getClientRects()].filter(box => box.width > 0 && box.height > 0);
    // What an ellipsis cuts off must be told elsewhere: as a title, or because a click selects all.
    for (let at = parent; at && at !== document.body; at = at.parentElement) {
      const style = getComputedStyle(at), clip = at.getBoundingClientRect();
      if (style.overflowX === "visible" && style.overflowY === "visible" || at instanceof SVGElement) continue;
      const meant = style.textOverflow === "ellipsis" ? at.title : style.webkitLineClamp !== "none";
      const out = box => box.right > clip.right + SLACK || box.left < clip.left - SLACK || box.bottom > clip.bottom + SLACK || box.top < clip.top - SLACK;
      if (!meant && boxes.some(out)) found.push(`cut off, ${name(at, text.data)}`);
      boxes = boxes.map(box => new DOMRect(Math.max(box.left, clip.left), Math.max(box.top, clip.top), Math.min(box.right, clip.right) - Math.max(box.left, clip.left), Math.min(box.bottom, clip.bottom) - Math.max(box.top, clip.top))).filter(box => box.width > SLACK && box.height > SLACK);
    }
    if (boxes.some(box => box.left < -SLACK || box.right > screen + SLACK)) found.push(`beside the screen, ${name(parent, text.data)}`);
    // Its card: a text may not stand out of it.
    const card = parent.closest("section")?.getBoundingClientRect();
    if (card && boxes.some(box => box.left < card.left - SLACK || box.right > card.right + SLACK || box.bottom > card.bottom + SLACK)) found.push(`out of its card, ${name(parent, text.data)}`);
    // The glyphs are lower than the line: by that much lines may come near one another.
    const size = parseFloat(getComputedStyle(parent).fontSize);
    for (const box of boxes) {
      const air = Math.max(0, (box.height - size) / 2);
      texts.push({ text, parent, left: box.left, right: box.right, top: box.top + air, bottom: box.bottom - air });
    }
  }

  texts.sort((one, other) => one.top - other.top);
  texts.forEach((one, place) => {
    for (let next = place + 1; next < texts.length && texts[next].top < one.bottom - SLACK; next += 1) {
      const other = texts[next];
      if (other.text !== one.text && one.left < other.right - SLACK && other.left < one.right - SLACK) {
        found.push(`one over the other, ${name(one.parent, one.text.data)} and ${name(other.parent, other.text.data)}`);
      }
    }
  });

  // Numbers in a row need room between them, and so do the marks of a scale.
  const CELL = "dd, td, th, svg text";
  for (const row of document.querySelectorAll(".figures, tr, svg")) {
    if (!seen(row)) continue;
    const cells = texts.filter(one => row.contains(one.parent) && one.parent.closest(CELL)).sort((one, other) => one.left - other.left);
    cells.forEach((one, place) => {
      for (const other of cells.slice(place + 1)) {
        const level = one.top < other.bottom - SLACK && other.top < one.bottom - SLACK;
        const same = one.parent.closest(CELL) === other.parent.closest(CELL);
        if (level && !same && other.left - one.right < ROOM) found.push(`they run together, ${name(one.parent, one.text.data)} and ${name(other.parent, other.text.data)}`);
      }
    });
  }

  // What is empty is low. A line goes down each few pixels, and may not meet nothing for long: between cards, and in one.
  const letter = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const pieces = [];
  for (const node of document.querySelectorAll("main :is(h1, h2, p, tr, summary, svg, .bar, .figures > div, .counts > div, li)")) {
    if (!seen(node)) continue;
    const box = node.getBoundingClientRect(), content = document.createRange(); // a cell may be higher than what is in it
    content.selectNodeContents(node);
    const bottom = node.matches("svg, .bar") ? box.bottom : content.getBoundingClientRect().bottom;
    if (box.width && bottom > box.top) pieces.push({ node, left: box.left - AROUND * letter, right: box.right + AROUND * letter, top: box.top, bottom });
  }
  pieces.sort((one, other) => one.top - other.top);
  const emptiness = (place, high) => {
    const room = place.getBoundingClientRect(), within = pieces.filter(one => place.contains(one.node));
    let before = []; // what the line before met
    for (let x = room.left + STEP; x < room.right; x += STEP) {
      let reached = room.top, above = null;
      const gaps = [];
      for (const one of [...within.filter(one => one.left < x && x < one.right), { top: room.bottom, bottom: room.bottom, node: null }]) {
        if (one.top - reached > high * letter) gaps.push({ above, height: one.top - reached, width: STEP });
        if (one.bottom > reached) [reached, above] = [one.bottom, one.node];
      }
      for (const gap of gaps) {
        gap.width += before.find(other => other.above === gap.above && Math.abs(other.height - gap.height) < letter)?.width || 0;
        if (gap.width > HOLE_WIDE * letter) found.push(`nothing for ${Math.round(gap.height)} pixels, below ${where(gap.above, place)}`);
      }
      before = gaps;
    }
  };
  const where = (node, place) => (node ? name(node, node.textContent) : `the top of ${name(place, "")}`);
  emptiness(document.querySelector("main"), HOLE);
  document.querySelectorAll("main section:not(.state)").forEach(card => seen(card) && emptiness(card, HOLE_IN_CARD));

  for (const list of document.querySelectorAll("main :is(ol, ul, dl, tbody)")) {
    const box = list.getBoundingClientRect(), rows = [...list.children].filter(seen);
    const columns = new Set(rows.map(row => Math.round(row.getBoundingClientRect().left))).size;
    const large = Math.min(box.width, box.height) > LONG_LIST * letter;
    if (columns === 1 && large) found.push(`${rows.length} rows in one column, ${name(list, rows[0].textContent)}`);
  }

  // A scale tells nothing where no line is.
  for (const svg of document.querySelectorAll("svg")) {
    const marks = [...svg.querySelectorAll("line, text")].filter(one => getComputedStyle(one).display !== "none" && (one.matches("line") || /\d/.test(one.textContent)));
    if (seen(svg) && marks.length && !svg.querySelector(".line").getAttribute("d")) found.push(`a scale without a line, ${name(svg, marks.map(one => one.textContent).join(" "))}`);
  }
  return [...new Set(found)];
}
