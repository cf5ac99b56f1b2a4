/** Logs in IndexedDB. Their code is loaded with the first. */
import type { LogHost } from "../../runtime.ts";
import { browserStorage } from "./storage.ts";

export const browserLogs: LogHost = {
  async open(name) {
    const { storageLogs } = await import("../storage-logs.ts");
    return storageLogs(browserStorage).open(name);
  },
};
