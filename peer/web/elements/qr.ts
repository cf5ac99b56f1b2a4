/** A QR code as a drawing, black on white whatever the theme: cameras expect it so. */
import { encode } from "uqr";
import { s } from "./dom.ts";

/** Modules around the code (ISO/IEC 18004 asks for four). */
const QUIET = 4;

/** @returns undefined when the text is too long for any */
export function qrCode(text: string, label: string): SVGSVGElement | undefined {
  let code: ReturnType<typeof encode>;
  try {
    code = encode(text, { ecc: "L", border: QUIET });
  } catch {
    return undefined;
  }
  const path = code.data
    .flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : "")))
    .join("");
  return s(
    "svg",
    {
      viewBox: `0 0 ${code.size} ${code.size}`,
      role: "img",
      "aria-label": label,
      "shape-rendering": "crispEdges",
      part: "qr",
    },
    s("rect", { width: code.size, height: code.size, fill: "#fff" }),
    s("path", { d: path, fill: "#000" }),
  );
}
