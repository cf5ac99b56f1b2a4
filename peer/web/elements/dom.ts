/** The little that building elements by hand needs. */

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** An element with attributes (`true` sets an empty one, `false` and undefined none) and children. */
export function h<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  setAll(element, attributes);
  element.append(...children);
  return element;
}

/** The same for drawings. */
export function s<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): SVGElementTagNameMap[Name] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  setAll(element, attributes);
  element.append(...children);
  return element;
}

function setAll(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false)
      element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Writes only what has changed: screen readers say what is written. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Other children; if one of those before had the focus, the first of these that can has it now, or the parent keeps it for those that come. */
export function swap(parent: HTMLElement, ...children: readonly HTMLElement[]): void {
  const hadFocus = parent.matches(":focus-within");
  parent.replaceChildren(...children);
  if (hadFocus) (parent.querySelector<HTMLElement>("button, input, a[href]") ?? parent).focus();
}

/** A button that does one thing. */
export function button(label: string, onClick: () => void, attributes: Attributes = {}): HTMLButtonElement {
  const made = h("button", { type: "button", part: "button", ...attributes }, label);
  made.addEventListener("click", onClick);
  return made;
}

/** A button that copies a text and says that it has. */
export function copyButton(label: string, text: string): HTMLButtonElement {
  const made = button(label, () => {
    navigator.clipboard.writeText(text).then(
      () => {
        say(made, "Copied");
        setTimeout(() => say(made, label), 1_500);
      },
      () => say(made, "Copying was refused: select the text instead"),
    );
  });
  return made;
}
