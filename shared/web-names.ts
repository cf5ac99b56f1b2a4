/** Which file of the web folder a path means, and of what type it is, where no asset service of Cloudflare decides. */

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
};
/** Pages by the path that people know. */
const PAGES: Readonly<Record<string, string>> = { "/": "index.html", "/admin": "admin.html" };
/** Names without a leading dot, in folders of such names: nothing outside the web folder. */
const PATH = /^(?:[\w-][\w.-]*\/)*[\w-][\w.-]*$/;

export interface WebName {
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Undefined when it means none. @param path of the request's URL */
export function webName(path: string): WebName | undefined {
  const name = PAGES[path] ?? path.slice(1);
  if (!PATH.test(name)) return undefined;
  const contentType = CONTENT_TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream";
  return {
    name,
    headers: { "content-type": contentType, "cache-control": "public, max-age=0, must-revalidate" },
  };
}
