import { button, h } from "../elements/dom.ts";

export interface Question {
  readonly asks: string;
  /** Whom it is about. */
  readonly id: string;
  /** What comes of it. */
  readonly means: string;
  /** On the button that does it. */
  readonly action: string;
}

/** Asks in a dialog, whose first choice is to leave things as they are. */
export function confirmed({ asks, id, means, action }: Question): Promise<boolean> {
  const dialog = h("dialog", { "aria-labelledby": "question", "aria-describedby": "meaning" });
  const leave = button("Leave it", () => dialog.close(""), { autofocus: true });
  dialog.append(
    h("h3", { id: "question" }, asks),
    h("div", { id: "meaning" }, h("p", {}, h("code", {}, id)), h("p", {}, means)),
    h(
      "div",
      { class: "actions" },
      leave,
      button(action, () => dialog.close(action), { class: "main" }),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        dialog.remove();
        resolve(dialog.returnValue === action);
      },
      { once: true },
    );
  });
}
