/** A real Firefox for the browser tests. Playwright drives a stock one by WebDriver BiDi, which tells nothing of memory and has no DevTools. */
import { join } from "node:path";
import { firefox } from "playwright-core";
import { type Browser, newProfile, openIn, removeProfile } from "./browsers.ts";

export const FIREFOX_NAMES = ["firefox-esr", "firefox"];

const LAUNCHER = join(import.meta.dirname, "firefox-launcher.ts");

/** The servers of the tests are on loopback, which ICE leaves out as no way to anybody (draft-ietf-rtcweb-ip-handling). */
const PREFERENCES = { "media.peerconnection.ice.loopback": true };

export async function startFirefox(executablePath: string): Promise<Browser> {
  const profile = await newProfile();
  const context = await firefox.launchPersistentContext(profile, {
    channel: "moz-firefox",
    executablePath: LAUNCHER,
    env: { ...process.env, FIREFOX: executablePath },
    firefoxUserPrefs: PREFERENCES,
    headless: true,
  });
  return {
    open: (url, prepare) => openIn(context, url, prepare),
    liveBytes: () => Promise.resolve(undefined),
    async close() {
      await context.close();
      await removeProfile(profile);
    },
  };
}
