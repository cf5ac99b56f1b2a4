/** The package in a bundle: types, and no script from elsewhere. The edge is named when it is built, as `VITE_EDGE`. */
import { Peer } from "peerloom";

/** What two tabs call each other. */
interface Clock {
  time(): string;
}

const peer = await Peer.open({ edge: import.meta.env.VITE_EDGE, network: "vite" });
output("own").value = peer.id;

peer.serve("clock/1", { time: () => new Date().toISOString() });

document.querySelector("form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const to = document.querySelector("input")?.value ?? "";
  const clock = peer.rpc<Clock>(to, "clock/1");
  clock.time().then(
    (time) => (output("answer").value = time),
    (error: unknown) => (output("answer").value = String(error)),
  );
});

function output(id: string): HTMLOutputElement {
  return document.querySelector(`#${id}`) as HTMLOutputElement;
}
