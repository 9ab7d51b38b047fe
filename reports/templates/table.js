"use strict";
// The side-by-side table: sort, search, page through the rows that stand in the page as JSON.
(() => {
  const PAGE = 100;
  const lists = [...document.querySelectorAll("script.rows")].map((s) => ({ name: s.dataset.catalog, ...JSON.parse(s.textContent) }));
  const form = document.querySelector(".controls");
  const table = document.getElementById("rows");
  let list, at, shown = [], page = 0, sorted = null;

  const cell = (column, row) => {
    const value = row[at[column.key]];
    if (value === null) return "";
    if (column.digits === null) return value;
    const error = column.error && row[at[column.error]];
    const scaled = value / column.scale;
    // A large number needs no decimals, unless it is a place.
    const digits = Math.abs(scaled) >= 100 && !column.exact ? 0 : column.digits;
    const words = scaled.toFixed(digits);
    return typeof error === "number" ? `${words} ± ${(error / column.scale).toFixed(digits)}` : words;
  };

  const filter = () => {
    const status = form.status.value, words = form.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const texts = list.columns.filter((c) => c.digits === null).map((c) => at[c.key]);
    shown = list.rows.filter((row) => {
      if (status && row[at.status] !== status) return false;
      const text = texts.map((i) => row[i] || "").join(" ").toLowerCase();
      return words.every((w) => text.includes(w));
    });
    if (sorted) {
      const i = at[sorted.key], sign = sorted.descending ? -1 : 1;
      // Rows without a value come last, whichever way the others run.
      const empty = (v) => v === null || v === "";
      shown.sort((a, b) => {
        if (empty(a[i]) || empty(b[i])) return empty(a[i]) - empty(b[i]);
        return sign * (typeof a[i] === "number" ? a[i] - b[i] : a[i] < b[i] ? -1 : a[i] > b[i] ? 1 : 0);
      });
    }
    page = 0;
    draw();
  };

  const draw = () => {
    const head = document.createElement("tr");
    for (const column of list.columns) {
      const th = document.createElement("th"), button = document.createElement("button");
      button.type = "button";
      button.textContent = column.label || "status";
      th.title = column.title;
      th.append(button);
      if (column.digits !== null) th.className = "n";
      if (sorted && sorted.key === column.key) th.setAttribute("aria-sort", sorted.descending ? "descending" : "ascending");
      button.addEventListener("click", () => {
        const again = sorted && sorted.key === column.key;
        sorted = { key: column.key, descending: again ? !sorted.descending : column.digits !== null };
        filter();
        table.tHead.querySelectorAll("button")[list.columns.indexOf(column)].focus();
      });
      head.append(th);
    }
    table.tHead.replaceChildren(head);
    table.tBodies[0].replaceChildren(...shown.slice(page * PAGE, (page + 1) * PAGE).map((row) => {
      const tr = document.createElement("tr");
      tr.tabIndex = -1;
      for (const column of list.columns) {
        const td = document.createElement("td");
        td.textContent = cell(column, row);
        if (column.digits !== null) td.className = "n";
        else if (column.key === "status") td.className = `name ${row[at.status].split(" ")[0]}`;
        else if (column.key.includes("name")) td.className = "name";
        else if (column.key === "remark" && td.textContent.length > 20) td.className = "wide";
        tr.append(td);
      }
      return tr;
    }));
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    form.elements.count.value = `${shown.length} of ${list.rows.length}`;
    form.elements.page.value = `${page + 1} / ${pages}`;
    form.previous.disabled = page === 0;
    form.next.disabled = page >= pages - 1;
  };

  const quoted = (value) => {
    const text = value === null ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  const choose = () => {
    list = lists[Number(form.catalog.value)];
    at = Object.fromEntries(list.keys.map((key, i) => [key, i]));
    sorted = null;
    filter();
  };

  // The row of a source of the release, or of a row that it missed of a reference catalogue.
  window.asidcatRows = { show: (name, catalogue) => {
    const wanted = lists.findIndex((l) => l.name === catalogue);
    if (wanted >= 0) form.catalog.value = String(wanted);
    form.status.value = "";
    form.search.value = "";
    choose();
    const key = at[catalogue ? "name_ref" : "source_name"], found = shown.findIndex((row) => row[key] === name);
    if (found < 0) return false;
    page = Math.floor(found / PAGE);
    draw();
    const tr = table.tBodies[0].rows[found % PAGE];
    tr.classList.add("chosen");
    tr.scrollIntoView({ block: "center" });
    tr.focus({ preventScroll: true });
    return true;
  } };
  // From the row back to the sky.
  table.tBodies[0].addEventListener("dblclick", (event) => {
    const tr = event.target.closest("tr"), row = tr && shown[page * PAGE + tr.sectionRowIndex];
    if (row && window.asidcatSky) window.asidcatSky.show(row[at.source_name] || row[at.name_ref], row[at.glon_deg], row[at.glat_deg]);
  });

  form.catalog.addEventListener("change", choose);
  form.status.addEventListener("change", filter);
  form.search.addEventListener("input", filter);
  form.previous.addEventListener("click", () => { page -= 1; draw(); });
  form.next.addEventListener("click", () => { page += 1; draw(); });
  form.csv.addEventListener("click", () => {
    const text = [list.keys, ...shown].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = `side-by-side-${list.name}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  choose();
})();
