/** What a proxy must not do when consoles, promises and JSON look at it, and what a stranger must not reach in a served object. */
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { remote } from "../../../peer/services/rpc/remote.ts";

function watched(): { readonly proxy: Record<string, unknown>; readonly calls: string[] } {
  const calls: string[] = [];
  const proxy = remote<Record<string, () => unknown>>((method) => {
    calls.push(method);
    return Promise.resolve(method);
  });
  return { proxy, calls };
}

test("looking at a proxy calls nothing", async () => {
  const { proxy, calls } = watched();
  expect(await Promise.resolve(proxy)).toBe(proxy);
  expect(JSON.stringify({ proxy })).toBe('{"proxy":{}}');
  expect(inspect(proxy)).not.toBe("");
  expect(() => Reflect.apply(String, undefined, [proxy])).toThrow(TypeError);
  expect(Object.keys(proxy)).toEqual([]);
  expect("add" in proxy).toBe(false);
  expect(Object.getPrototypeOf(proxy)).toBe(null);
  for (const name of [
    "then",
    "toJSON",
    "constructor",
    "__proto__",
    "toString",
    "valueOf",
    "hasOwnProperty",
  ]) {
    expect(proxy[name], name).toBeUndefined();
  }
  expect(Reflect.get(proxy, Symbol.iterator)).toBeUndefined();
  expect(calls).toEqual([]);
});

test("a proxy cannot be changed", () => {
  const { proxy } = watched();
  expect(() => (proxy["add"] = 1)).toThrow(TypeError);
  expect(() => Object.defineProperty(proxy, "add", { value: 1 })).toThrow(TypeError);
  expect(() => Object.setPrototypeOf(proxy, {})).toThrow(TypeError);
  expect(Reflect.deleteProperty(proxy, "add")).toBe(true);
  expect(typeof proxy["add"]).toBe("function");
});

test("every other name is a call, also taken off the proxy", async () => {
  const { proxy, calls } = watched();
  const add = proxy["add"] as (...args: unknown[]) => Promise<unknown>;
  expect(await add(1, 2)).toBe("add");
  expect(calls).toEqual(["add"]);
});

test("a result of one value cannot be iterated, and says so", async () => {
  const { proxy } = watched();
  const answer = (proxy["add"] as () => AsyncIterable<unknown>)();
  await expect(answer[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "rpc/invalid-value" });
});
