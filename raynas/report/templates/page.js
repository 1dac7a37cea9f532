"use strict";
(function () {
  const root = document.documentElement;
  const stored = "raynas-theme";

  function element(tag, properties) {
    return Object.assign(document.createElement(tag), properties);
  }

  // Theme: the system's, until the reader chooses; the choice is kept where the browser allows it.
  function remembered() {
    try { return localStorage.getItem(stored); } catch (error) { return null; }
  }

  function remember(theme) {
    try { localStorage.setItem(stored, theme); } catch (error) { return; }
  }

  function isDark() {
    const chosen = root.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  const known = remembered();
  if (known === "dark" || known === "light") root.dataset.theme = known;

  function addThemeButton() {
    const button = element("button", { type: "button", className: "theme" });
    const label = () => { button.textContent = isDark() ? "light" : "dark"; button.title = "change to " + button.textContent + " colours"; };
    button.onclick = () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember(root.dataset.theme);
      label();
    };
    label();
    document.querySelector("header").append(button);
  }

  // Tables: a click on a head orders the rows, the words of the filter must all be in a row.
  const factors = { ms: 1e-3, s: 1, min: 60, h: 3600, d: 86400, k: 1e3, M: 1e6, G: 1e9 };

  function numberOf(text) {
    const plain = text.replace(/,(?=\d{3})/g, "").replace(/\u2212/g, "-").replace(/\u00a0/g, " ");
    const times = [...plain.matchAll(/(\d+(?:\.\d+)?) (ms|s|min|h|d)\b/g)];
    if (times.length > 0 && /^\d/.test(plain.trim())) return times.reduce((sum, part) => sum + Number(part[1]) * factors[part[2]], 0);
    const first = plain.match(/^\s*(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?: ([kMG])\b)?/);
    return first ? Number(first[1]) * (factors[first[2]] || 1) : NaN;
  }

  function compare(one, other) {
    const numbers = [numberOf(one), numberOf(other)];
    if (numbers.every(isFinite)) return numbers[0] - numbers[1];
    if (isFinite(numbers[0]) !== isFinite(numbers[1])) return isFinite(numbers[0]) ? -1 : 1;
    return one.localeCompare(other);
  }

  function makeSortable(table) {
    const heads = [...table.querySelectorAll("thead th")], body = table.tBodies[0];
    const original = [...body.rows];
    heads.forEach((head, column) => {
      if (head.textContent.trim() === "") return;
      const button = element("button", { type: "button", className: "sort", title: "order by this column" });
      button.append(...head.childNodes);
      head.append(button);
      button.onclick = () => {
        const before = head.getAttribute("aria-sort");
        const order = before === null ? "ascending" : before === "ascending" ? "descending" : null;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        let rows = original.slice();
        if (order) {
          const sign = order === "ascending" ? 1 : -1;
          const text = (row) => row.cells[column].textContent.trim();
          head.setAttribute("aria-sort", order);
          const isMissing = (row) => ["", "\u2013"].includes(text(row));
          const present = rows.filter((row) => !isMissing(row)).sort((a, b) => sign * compare(text(a), text(b)));
          rows = [...present, ...rows.filter(isMissing)];
        }
        body.append(...rows);
      };
    });
    if (original.length > 12) addFilter(table, original);
  }

  function addFilter(table, rows) {
    const input = element("input", { type: "search", placeholder: "filter rows", className: "filter" });
    input.setAttribute("aria-label", "filter the rows of this table");
    input.oninput = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        row.classList.toggle("hidden", !words.every((word) => text.includes(word)));
      });
    };
    table.closest(".table").prepend(input);
  }

  // Architectures: a button copies the text.
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) {
      const area = element("textarea", { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }

  function addCopyButton(code) {
    const button = element("button", { type: "button", className: "copy", title: "copy the architecture" });
    button.setAttribute("aria-label", button.title);
    button.onclick = async () => {
      await copy(code.textContent);
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1200);
    };
    code.after(" ", button);
  }

  // Figures: the value nearest to the pointer, within a distance that a finger can aim at.
  const reach = 24;

  function showValues(svg, tip) {
    const marks = [...svg.querySelectorAll(".values circle")];
    const texts = marks.map((mark) => mark.textContent);
    marks.forEach((mark) => mark.replaceChildren());
    let shown = null;
    const hide = () => {
      if (shown) shown.classList.remove("near");
      shown = null;
      tip.hidden = true;
    };
    svg.onpointerleave = hide;
    svg.onpointermove = (event) => {
      let nearest = -1, least = reach;
      marks.forEach((mark, number) => {
        const box = mark.getBoundingClientRect();
        const away = Math.hypot(box.x + box.width / 2 - event.clientX, box.y + box.height / 2 - event.clientY);
        if (away < least) { nearest = number; least = away; }
      });
      hide();
      if (nearest === -1) return;
      shown = marks[nearest];
      shown.classList.add("near");
      tip.textContent = texts[nearest];
      tip.hidden = false;
      const left = Math.min(event.clientX + 14, root.clientWidth - tip.offsetWidth - 8);
      tip.style.left = Math.max(8, left) + "px";
      tip.style.top = (event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - 12 - tip.offsetHeight : event.clientY + 18) + "px";
    };
  }

  document.addEventListener("DOMContentLoaded", () => {
    addThemeButton();
    document.querySelectorAll("table.sortable").forEach(makeSortable);
    document.querySelectorAll("code.architecture").forEach(addCopyButton);
    const tip = element("div", { className: "tip", hidden: true });
    document.body.append(tip);
    document.querySelectorAll("svg").forEach((svg) => {
      if (svg.querySelector(".values")) showValues(svg, tip);
    });
  });
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details:not([open])").forEach((fold) => {
      fold.open = true;
      addEventListener("afterprint", () => { fold.open = false; }, { once: true });
    });
  });
})();
