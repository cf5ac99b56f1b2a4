/** What of an address costs an attacker something: single addresses of one network are cheap, networks are not. */

/** `192.0.2.7` to `192.0.2.0/24`, `2001:db8::1` to `2001:db8:0::/48`; undefined for loopback, private ranges and names, which are not limited. */
export function addressPrefix(host: string): string | undefined {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.\d{1,3}$/.exec(host.replace(/^::ffff:/i, ""));
  if (v4 !== null) {
    const [a, b, c] = v4.slice(1).map(Number) as [number, number, number];
    const isLocal =
      a === 127 ||
      a === 10 ||
      (a === 172 && b >= 16 && b < 32) ||
      (a === 192 && b === 168) ||
      (a === 169 && b === 254);
    return isLocal ? undefined : `${a}.${b}.${c}.0/24`;
  }
  if (!host.includes(":")) return undefined;
  const text = host.toLowerCase().replace(/^\[|\]$/g, "");
  const [head = "", tail] = text.split("::", 2);
  const first = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  const groups = [...first, ...Array.from({ length: gap }, () => "0"), ...last]
    .slice(0, 3)
    .map((group) => Number.parseInt(group, 16));
  const [top = 0] = groups;
  // Loopback and unspecified, unique local, link local.
  if (top === 0 || (top & 0xfe00) === 0xfc00 || (top & 0xffc0) === 0xfe80) return undefined;
  return `${groups.map((group) => group.toString(16)).join(":")}::/48`;
}
