// Makes the headings of a sortable table sort its rows; a second click reverses the order. Unknown values stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], rows = [...body.rows];
  const read = (row, column) => row.cells[column] ? row.cells[column].textContent.trim() : "";
  const value = text => parseFloat(text.replace(/,/g, "").replace("\u2212", "-"));
  const headings = [...[...table.tHead.rows].at(-1).cells];
  headings.forEach((heading, column) => {
    const texts = rows.map(row => read(row, column)).filter(text => text && text !== "\u2013");
    const numeric = column > 0 && texts.every(text => Number.isFinite(value(text)));
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headings.forEach(other => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      body.append(...rows.toSorted((one, other) => {
        const [a, b] = [read(one, column), read(other, column)];
        const unknown = (a === "\u2013") - (b === "\u2013");
        return unknown || sign * (numeric ? value(a) - value(b) : a.localeCompare(b, undefined, {numeric: true}));
      }));
    });
  });
}
// What is folded on the screen is printed.
addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach(folded => {
  folded.open = true;
  addEventListener("afterprint", () => { folded.open = false; }, {once: true});
}));
