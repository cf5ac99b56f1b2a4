/** The shared document that the documentation shows: edits made apart come together, and who comes late gets it from who is there. */
import { expect, onTestFinished, test } from "vitest";
import * as Y from "yjs";
import type { Peer } from "../../peer/node.ts";
import { bootstrapOf, openPeer } from "../integration/peers.ts";
import { type SharedDocument, shareDocument } from "./shared-document/document.ts";

async function open(bootstrap: readonly string[] = []): Promise<Peer> {
  return openPeer({ edge: null, network: "documents", listen: "127.0.0.1:0", bootstrap, webrtc: false });
}

function share(peer: Peer, doc: Y.Doc): SharedDocument {
  const shared = shareDocument(peer, "notes", doc);
  onTestFinished(() => shared.close());
  return shared;
}

/** Resolves when the text is that one; awaited by the document's own event. */
async function reads(doc: Y.Doc, accept: (text: string) => boolean): Promise<string> {
  const text = doc.getText();
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (!accept(text.toJSON())) return;
      doc.off("update", look);
      resolve();
    };
    doc.on("update", look);
    look();
  });
  return text.toJSON();
}

test("edits arrive; edits made apart converge; a late joiner gets the document from whoever is there", async () => {
  const anna = await open();
  const ben = await open(bootstrapOf(anna));
  const [annas, bens] = [new Y.Doc(), new Y.Doc()];
  const sharings = [share(anna, annas), share(ben, bens)];
  annas.getText().insert(0, "together");
  await reads(bens, (text) => text === "together");

  // Both go offline and edit the same place, one of them more than fits a message.
  await Promise.all(sharings.map((each) => each.close()));
  annas.getText().insert(0, "anna ");
  bens.getText().insert(8, ` ${"ben".repeat(100_000)}`);
  share(anna, annas);
  const bensSharing = share(ben, bens);
  const both = (text: string): boolean => text.includes("anna") && text.includes("ben");
  expect(await reads(annas, both)).toBe(await reads(bens, both));

  // And online at once, without waiting for each other.
  annas.getText().insert(0, "<");
  bens.getText().insert(0, ">");
  bens.getText().insert(0, "!".repeat(250_000));
  const all = (text: string): boolean => ["<", ">", "!"].every((sign) => text.includes(sign));
  expect(await reads(annas, all)).toBe(await reads(bens, all));

  // Ben is gone when Carla comes; she knows only Anna.
  await bensSharing.close();
  await ben.close();
  const carlas = new Y.Doc();
  share(await open(bootstrapOf(anna)), carlas);
  expect(await reads(carlas, all)).toBe(annas.getText().toJSON());
});
