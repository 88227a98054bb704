// The Match variables page with JavaScript: checks input at once, and searches, filters and shows further previews
// without reloading the page. All text is inserted as plain text.
"use strict";

(() => {
  const form = document.getElementById("matching");
  const filter = document.getElementById("filter");
  const summary = document.getElementById("summary");
  const rows = new Map(Array.from(form.querySelectorAll("tr[data-key]"), (tr) => [tr.dataset.key, parts(tr)]));
  const targets = new Map(Array.from(form.querySelectorAll("datalist option"), (o) => [o.value, o.label]));
  const states = { green: "✓ Matched", amber: "▲ No value fits", gray: "○ Not matched", red: "✗ Problem" };
  const columns = document.getElementById("columns");
  const filters = {
    all: () => true,
    matched: (tr) => ["green", "amber"].includes(tr.dataset.status),
    unfit: (tr) => tr.dataset.status === "amber",
    unmatched: (tr) => tr.dataset.status === "gray",
    problems: (tr) => tr.dataset.status === "red",
    new: (tr) => "new" in tr.dataset,
  };
  let timer = 0;
  let asked = 0;
  let sending = false;

  function parts(tr) {
    const [choice, format] = tr.querySelectorAll("select");
    return {
      tr, choice, format,
      own: null,
      wooxy: tr.querySelector(".feed input"),
      preview: tr.querySelector(".preview"),
      another: tr.querySelector(".another"),
      filled: tr.querySelector(".filled"),
      state: tr.querySelector(".state"),
      reason: tr.querySelector(".reason"),
      use: tr.querySelector(".use"),
      fixed: tr.querySelector(".fixed"),
      search: `${tr.querySelector(".variable").textContent}\n${tr.dataset.key}`.toLowerCase(),
    };
  }

  function isTouched({ tr, choice, format, wooxy }) {
    const other = (select) => Array.from(select.options).some((o) => o.selected !== o.defaultSelected);
    return "typed" in tr.dataset || other(choice) || other(format) || wooxy.value !== wooxy.defaultValue;
  }

  // The list decides the format of its own variables; a new variable gets its previous format back.
  function fixFormat(row) {
    const known = row.choice.value === "existing" ? targets.get(row.wooxy.value.trim()) : undefined;
    if (known !== undefined) row.own ??= row.format.value;
    if (known !== undefined || row.own !== null) row.format.value = known ?? row.own;
    if (known === undefined) row.own = null;
    row.fixed.hidden = known === undefined;
  }

  // A name decides which choice is meant; a choice that contradicts the name needs another name.
  function touch(row, control) {
    const name = row.wooxy.value.trim();
    const meant = targets.has(name) ? "existing" : "new";
    if (control === row.wooxy && name) row.choice.value = meant;
    if (control === row.choice && name && row.choice.value !== meant) row.wooxy.value = "";
    if (control === row.choice && row.choice.value === "new" && !row.wooxy.value.trim()) {
      row.wooxy.value = row.wooxy.placeholder;
    }
    fixFormat(row);
    clearTimeout(timer);
    timer = setTimeout(check, 250, row);
  }

  // Only changed rows are sent; the server has the rest.
  function body() {
    const sent = new URLSearchParams();
    for (const row of rows.values()) {
      if (!isTouched(row)) continue;
      for (const control of [row.choice, row.wooxy, row.format]) sent.append(control.name, control.value);
    }
    return sent;
  }

  async function ask(path, options = {}) {
    const answer = await fetch(path, { ...options, headers: { accept: "application/json", ...options.headers } });
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    return content;
  }

  async function check(touched) {
    const number = ++asked;
    try {
      const found = await ask(`${form.dataset.path}/check`, {
        method: "POST", body: body(), headers: { "x-csrf-token": form.elements.csrf.value },
      });
      if (number !== asked) return;
      for (const [key, told] of Object.entries(found.rows)) if (rows.has(key)) show(rows.get(key), ...told);
      const reason = touched.reason.textContent;
      const stale = found.version === form.elements.version.value ? "" :
        " Somebody else has changed this matching meanwhile: to save yours, you will have to look at theirs.";
      summary.textContent = found.summary + (reason ? ` ${touched.tr.querySelector(".variable").textContent}: ${reason}` : "") + stale;
      columns.textContent = found.columns ?? "";
      columns.hidden = found.columns === null;
      // The answer is about an earlier input.
      document.getElementById("dry-run")?.remove();
      count();
    } catch (error) {
      if (number === asked) summary.textContent = `What you typed could not be checked. ${error.message}`;
    }
  }

  function show(row, status, reason, suggestion, preview) {
    row.tr.dataset.status = status;
    row.state.className = `state ${status}`;
    row.state.textContent = states[status];
    row.reason.textContent = reason ?? "";
    row.wooxy.placeholder = suggestion ?? "";
    row.use.hidden = suggestion === null;
    if (status === "red") row.wooxy.setAttribute("aria-invalid", "true");
    else row.wooxy.removeAttribute("aria-invalid");
    if (preview !== null) {
      const [text, values, filled] = preview;
      row.preview.textContent = text ?? "";
      row.another.hidden = values < 2;
      row.another.dataset.number = 1;
      row.filled.textContent = filled;
    }
  }

  function count() {
    for (const option of filter.elements.show.options) {
      const fits = Array.from(rows.values()).filter(({ tr }) => filters[option.value](tr)).length;
      option.textContent = option.textContent.replace(/\(.*\)$/, `(${fits})`);
    }
  }

  function applyFilter() {
    const wanted = filter.elements.q.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows.values()) {
      const fits = filters[filter.elements.show.value](row.tr) &&
        (row.search.includes(wanted) || row.wooxy.value.toLowerCase().includes(wanted));
      row.tr.hidden = !fits;
      shown += fits;
      // Rows that have been shown are sent with the form, even if they are hidden again.
      if (fits) for (const control of [row.choice, row.wooxy, row.format]) control.disabled = false;
    }
    document.getElementById("nothing").hidden = shown > 0;
    const query = new URLSearchParams(new FormData(filter));
    const path = `${form.dataset.path}?${query}`;
    form.setAttribute("action", path);
    history.replaceState(null, "", path);
  }

  form.addEventListener("input", ({ target }) => {
    const tr = target.closest("tr[data-key]");
    if (tr) touch(rows.get(tr.dataset.key), target);
  });
  form.addEventListener("click", async (event) => {
    const tr = event.target.closest("tr[data-key]");
    if (!tr) return;
    const row = rows.get(tr.dataset.key);
    if (event.target.closest(".use")) {
      event.preventDefault();
      row.choice.value = "new";
      row.wooxy.value = row.wooxy.placeholder;
      touch(row, row.choice);
      row.wooxy.focus();
    }
    const another = event.target.closest(".another");
    if (another) {
      event.preventDefault();
      const query = new URLSearchParams({ key: tr.dataset.key, number: another.dataset.number });
      try {
        row.preview.textContent = (await ask(`${form.dataset.path}/preview?${query}`)).text ?? "";
        another.dataset.number = Number(another.dataset.number) + 1;
      } catch (error) {
        summary.textContent = error.message;
      }
    }
  });
  // Enter would press the first button, which saves; nothing is saved unless the user asks for it.
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input")) event.preventDefault();
  });
  form.addEventListener("submit", () => { sending = true; });
  filter.addEventListener("input", applyFilter);
  filter.addEventListener("submit", (event) => { event.preventDefault(); applyFilter(); });
  addEventListener("beforeunload", (event) => {
    if (!sending && Array.from(rows.values()).some(isTouched)) event.preventDefault();
  });
  // A browser that returns to the page restores what was typed before.
  addEventListener("pageshow", () => { sending = false; rows.forEach(fixFormat); });
  document.getElementById("apply").hidden = true;
  document.getElementById("check").hidden = true;
})();
