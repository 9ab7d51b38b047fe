"use strict";
// The interactive sky: Mollweide, galactic, l = 0 in the middle, longitude growing to the left.
(() => {
  const canvas = document.getElementById("sky-map");
  const data = JSON.parse(document.getElementById("sky-points").textContent);
  const tip = document.getElementById("sky-tip"), said = document.getElementById("sky-said");
  const form = canvas.closest(".map").querySelector("form");
  const context = canvas.getContext("2d");
  const COLOURS = ["#0072b2", "#d55e00", "#1d2129"], KINDS = ["with counterpart", "without counterpart", "missed"];
  const MAX_ZOOM = 200, NAMES_FROM = 10, NAMES_UP_TO = 60, HIT_PX = 9;
  const view = { x: 0, y: 0, zoom: 1 };  // centre in the plane of the projection, where the sky is an ellipse of 4 by 2
  let width = 0, height = 0, scale = 1, over = null, chosen = null, due = false;

  const mollweide = (l, b) => {
    const lon = ((l + 180) % 360 + 360) % 360 - 180, sine = Math.PI * Math.sin(b * Math.PI / 180);
    let t = b * Math.PI / 180;
    if (Math.abs(b) > 89.999) t = Math.sign(b) * Math.PI / 2;
    else for (let i = 0; i < 60; i += 1) {
      const step = (2 * t + Math.sin(2 * t) - sine) / (2 + 2 * Math.cos(2 * t));
      t -= step;
      if (Math.abs(step) < 1e-7) break;
    }
    return [-lon / 90 * Math.cos(t), Math.sin(t)];
  };

  const points = data.points.map((row) => {
    const point = Object.fromEntries(data.keys.map((key, i) => [key, row[i]]));
    [point.x, point.y] = mollweide(point.l, point.b);
    point.size = 2.2 + 2.2 * Math.log10(Math.min(Math.max(point.sigma || 5, 3), 300) / 3);
    return point;
  }).sort((a, b) => a.sigma - b.sigma);

  const line = (n, place) => Array.from({ length: n + 1 }, (_, i) => mollweide(...place(i / n)));
  const graticule = [];
  for (let l = -150; l <= 150; l += 30) graticule.push(line(60, (f) => [l, 180 * f - 90]));
  for (let b = -60; b <= 60; b += 30) graticule.push(line(120, (f) => [359.998 * f - 179.999, b]));

  const picture = new Image();
  let ready = false;
  picture.addEventListener("load", () => { ready = true; draw(); });
  if (canvas.dataset.background) picture.src = canvas.dataset.background;

  const toScreen = (x, y) => [width / 2 + (x - view.x) * scale, height / 2 - (y - view.y) * scale];
  const toPlane = (px, py) => [view.x + (px - width / 2) / scale, view.y - (py - height / 2) / scale];
  const shown = (point) => form.elements[`kind${point.kind}`].checked;
  const grown = () => Math.min(1 + Math.log2(view.zoom) / 2.2, 3.2);
  const inView = () => points.filter((p) => {
    const [x, y] = toScreen(p.x, p.y);
    return shown(p) && x >= 0 && y >= 0 && x <= width && y <= height;
  });

  const keepInside = () => {
    view.zoom = Math.min(Math.max(view.zoom, 1), MAX_ZOOM);
    scale = Math.min(width / 4.08, height / 2.08) * view.zoom;
    // The whole sky stays in the middle; from twice its size on any place can be there.
    const room = Math.min(view.zoom - 1, 1), [roomX, roomY] = [2 * room, room];
    view.x = Math.min(Math.max(view.x, -roomX), roomX);
    view.y = Math.min(Math.max(view.y, -roomY), roomY);
  };

  const marker = (p, x, y, r) => {
    context.beginPath();
    if (p.kind === 2) {
      context.moveTo(x - r, y - r); context.lineTo(x + r, y + r);
      context.moveTo(x - r, y + r); context.lineTo(x + r, y - r);
    } else if (p.kind === 1) {
      // A diamond, so that shape tells what colour tells.
      context.moveTo(x, y - r * 1.25); context.lineTo(x + r * 1.25, y);
      context.lineTo(x, y + r * 1.25); context.lineTo(x - r * 1.25, y); context.closePath();
    } else context.arc(x, y, r, 0, 7);
    context.stroke();
  };

  const paint = () => {
    due = false;
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const [cx, cy] = toScreen(0, 0);
    context.save();
    context.beginPath(); context.ellipse(cx, cy, 2 * scale, scale, 0, 0, 7); context.clip();
    context.fillStyle = "#fff"; context.fill();
    context.globalAlpha = 0.8;  // so that the signs stand out
    if (ready) context.drawImage(picture, cx - 2 * scale, cy - scale, 4 * scale, 2 * scale);
    context.globalAlpha = 1;
    context.strokeStyle = "rgba(90,100,115,.45)"; context.lineWidth = 0.6;
    for (const path of graticule) {
      context.beginPath();
      path.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](...toScreen(x, y)));
      context.stroke();
    }
    context.restore();
    context.strokeStyle = "#4a4f57"; context.lineWidth = 1;
    context.beginPath(); context.ellipse(cx, cy, 2 * scale, scale, 0, 0, 7); context.stroke();
    const visible = inView(), growth = grown();
    context.lineWidth = Math.min(0.9 + 0.15 * Math.log2(view.zoom), 1.8);
    for (const p of visible) {
      const place = toScreen(p.x, p.y), line = context.lineWidth;
      if (view.zoom > 3) {
        context.strokeStyle = "rgba(255,255,255,.85)"; context.lineWidth = line + 2.4;
        marker(p, ...place, p.size * growth);
      }
      context.strokeStyle = COLOURS[p.kind]; context.lineWidth = line;
      marker(p, ...place, p.size * growth);
    }
    const taken = [];
    const label = (p, weight) => {
      const [x, y] = toScreen(p.x, p.y), at = x + p.size * growth + 4;
      context.font = `${weight} 12px system-ui, sans-serif`;
      const wide = context.measureText(p.name).width, left = at + wide > width ? x - p.size * growth - 4 - wide : at;
      if (weight === "400" && taken.some(([a, b, c]) => Math.abs(b - y) < 14 && left < c + 4 && a < left + wide + 4)) return;
      taken.push([left, y, left + wide]);
      context.lineWidth = 3; context.strokeStyle = "rgba(255,255,255,.9)"; context.strokeText(p.name, left, y + 4);
      context.fillStyle = COLOURS[2]; context.fillText(p.name, left, y + 4);
    };
    if (view.zoom >= NAMES_FROM && visible.length <= NAMES_UP_TO) for (const p of visible.toReversed()) label(p, "400");
    for (const p of [over, chosen]) if (p && shown(p)) {
      context.lineWidth = 3; context.strokeStyle = "#e69f00";
      context.beginPath(); context.arc(...toScreen(p.x, p.y), p.size * growth + 4, 0, 7); context.stroke();
      label(p, "600");
    }
    canvas.dataset.zoom = view.zoom.toFixed(3);
    canvas.dataset.drawn = visible.length;
  };
  const draw = () => { if (!due) { due = true; requestAnimationFrame(paint); } };
  const change = (act) => { act(); keepInside(); draw(); };

  const zoomAt = (factor, px, py) => change(() => {
    const [x, y] = toPlane(px, py), before = view.zoom;
    view.zoom = Math.min(Math.max(before * factor, 1), MAX_ZOOM);
    view.x = x - (x - view.x) * before / view.zoom;
    view.y = y - (y - view.y) * before / view.zoom;
  });
  const pan = (dx, dy) => change(() => { view.x += dx / scale; view.y -= dy / scale; });
  const reset = () => change(() => Object.assign(view, { x: 0, y: 0, zoom: 1 }));

  const near = (px, py) => {
    let best = null, least = Infinity;
    for (const p of points) if (shown(p)) {
      const [x, y] = toScreen(p.x, p.y), far = Math.hypot(x - px, y - py);
      if (far <= Math.max(HIT_PX, p.size * grown() + 3) && far <= least) [best, least] = [p, far];
    }
    return best;
  };
  const words = (p) => [
    `l = ${p.l.toFixed(2)}°, b = ${p.b.toFixed(2)}°`,
    p.sigma === null ? "" : `${p.sigma} σ`,
    p.flux === null ? "" : `${(p.flux * 1e12).toPrecision(3)} × 10⁻¹² cm⁻² s⁻¹`,
    p.kind === 2 ? `missed from ${p.catalogue}: ${p.note}` : p.note || KINDS[1],
  ].filter(Boolean);
  const hover = (p, px, py) => {
    if (p !== over) { over = p; draw(); }
    tip.hidden = !p;
    canvas.style.cursor = p ? "pointer" : "grab";
    if (!p) return;
    const name = document.createElement("b");
    name.textContent = p.name;
    tip.replaceChildren(name, ...words(p).map((text) => {
      const part = document.createElement("span");
      part.textContent = text;
      return part;
    }));
    tip.style.left = `${Math.min(px + 14, width - tip.offsetWidth - 4)}px`;
    tip.style.top = `${py + 18 + tip.offsetHeight > height ? py - tip.offsetHeight - 10 : py + 18}px`;
  };
  const choose = (p) => {
    chosen = p;
    said.value = p ? `${p.name}: ${words(p).join("; ")}` : "";
    draw();
  };
  const goToRow = (p) => window.asidcatRows && window.asidcatRows.show(p.name, p.catalogue);
  const centre = (p, zoom) => change(() => Object.assign(view, { x: p.x, y: p.y, zoom: Math.max(view.zoom, zoom) }));

  const place = (event) => {
    const frame = canvas.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };
  const held = new Map();
  let moved = 0, apart = 0;
  canvas.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
    moved = apart = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const [px, py] = place(event), before = held.get(event.pointerId);
    if (!before) { hover(near(px, py), px, py); return; }
    held.set(event.pointerId, [px, py]);
    moved += Math.hypot(px - before[0], py - before[1]);
    if (held.size === 1) { if (moved > 3) { hover(null); pan(before[0] - px, before[1] - py); } return; }
    const [a, b] = [...held.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
    if (apart) zoomAt(now / apart, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
    apart = now;
  });
  const release = (event) => { held.delete(event.pointerId); apart = 0; };
  canvas.addEventListener("pointerup", (event) => {
    const [px, py] = place(event), still = held.size === 1 && moved <= 3;
    release(event);
    const p = still ? near(px, py) : null;
    if (!still) return;
    choose(p);
    if (p) goToRow(p);
  });
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => hover(null));
  canvas.addEventListener("dblclick", (event) => zoomAt(2, ...place(event)));
  // The page scrolls under the wheel unless the map was clicked, or Ctrl is held.
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    zoomAt(2 ** (-event.deltaY / (event.ctrlKey ? 120 : 300)), ...place(event));
  }, { passive: false });

  const step = (by) => {
    const list = inView().reverse();
    if (!list.length) return;
    const at = list.indexOf(chosen);
    choose(list[at < 0 ? (by > 0 ? 0 : list.length - 1) : (at + by + list.length) % list.length]);
  };
  const KEYS = {
    ArrowLeft: () => pan(-60, 0), ArrowRight: () => pan(60, 0), ArrowUp: () => pan(0, -60), ArrowDown: () => pan(0, 60),
    "+": () => zoomAt(1.5, width / 2, height / 2), "=": () => zoomAt(1.5, width / 2, height / 2),
    "-": () => zoomAt(1 / 1.5, width / 2, height / 2), 0: reset,
    n: () => step(1), p: () => step(-1), c: () => chosen && centre(chosen, 16),
    Enter: () => chosen && goToRow(chosen), Escape: () => choose(null),
  };
  canvas.addEventListener("keydown", (event) => {
    if (!KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    KEYS[event.key]();
  });

  form.addEventListener("change", draw);
  form.elements.closer.addEventListener("click", () => zoomAt(1.8, width / 2, height / 2));
  form.elements.wider.addEventListener("click", () => zoomAt(1 / 1.8, width / 2, height / 2));
  form.elements.whole.addEventListener("click", reset);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = form.elements.find.value.trim().toLowerCase();
    if (!wanted) return;
    const numbers = wanted.split(/[\s,;]+/).map(Number);
    if (numbers.length === 2 && numbers.every(Number.isFinite) && Math.abs(numbers[1]) <= 90) {
      const [x, y] = mollweide(...numbers);
      centre({ x, y }, 16);
      return;
    }
    const found = points.find((p) => p.name.toLowerCase().includes(wanted)) ||
      points.find((p) => p.note.toLowerCase().includes(wanted));
    if (found) { choose(found); centre(found, 16); } else said.value = `nothing is called ${form.elements.find.value}`;
  });
  window.asidcatSky = { show: (name, l, b) => {
    const found = points.find((p) => p.name === name), [x, y] = mollweide(l, b);
    choose(found || null);
    if (!found) said.value = `${name}, in the middle, is not drawn on the map`;
    centre(found || { x, y }, 16);
    canvas.scrollIntoView({ block: "center" });
    canvas.focus({ preventScroll: true });
  } };

  const fit = () => {
    const frame = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    if (!frame.width) return;
    [width, height] = [frame.width, frame.height];
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    keepInside();
    paint();
  };
  new ResizeObserver(fit).observe(canvas);
  fit();
})();
