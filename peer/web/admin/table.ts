import { h } from "../elements/dom.ts";

export interface TableOptions {
  readonly label: string;
  /** One that begins with `#` stands over numbers; an empty one over buttons. */
  readonly heads: readonly string[];
  readonly rows: readonly (readonly (string | Node)[])[];
  /** Said where there is no row. */
  readonly empty: string;
}

/** A table in a region that scrolls, by keys too. */
export function table({ label, heads, rows, empty }: TableOptions): HTMLElement {
  const columns = heads.map((head) => ({
    name: head.replace(/^#/, ""),
    class: head.startsWith("#") && "number",
  }));
  const head = columns.map(({ name, class: kind }) =>
    name === "" ? h("td") : h("th", { scope: "col", class: kind }, name),
  );
  const body = rows.map((cells) =>
    h(
      "tr",
      {},
      ...cells.map((cell, column) =>
        h("td", { class: columns[column]?.class, "data-head": columns[column]?.name }, cell),
      ),
    ),
  );
  if (body.length === 0) body.push(h("tr", { class: "empty" }, h("td", { colspan: heads.length }, empty)));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...body)),
  );
}
