import { expect, test } from "vitest";
import { gatewayOfNetstat, gatewayOfProc, localAddress } from "../../../peer/adapters/node/default-route.ts";

const PROC = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
wlan0	00000000	010A0A0A	0003	0	0	600	00000000	0	0	0
eth0	00000000	0101A8C0	0003	0	0	100	00000000	0	0	0
eth0	0001A8C0	00000000	0001	0	0	100	00FFFFFF	0	0	0
tun0	00000000	00000000	0001	0	0	0	00000080	0	0	0
`;
const MACOS = `Routing tables

Internet:
Destination        Gateway            Flags               Netif Expire
default            192.168.1.1        UGScg                 en0
default            link#20            UCSIg           bridge100      !
127                127.0.0.1          UCS                   lo0
`;
const WINDOWS = `IPv4 Route Table
===========================================================================
Active Routes:
Network Destination        Netmask          Gateway       Interface  Metric
          0.0.0.0          0.0.0.0      192.168.1.1     192.168.1.7     25
        127.0.0.0        255.0.0.0         On-link         127.0.0.1    331
`;

test("Linux's table: the default route with a gateway and the least metric", () => {
  expect(gatewayOfProc(PROC)).toBe("192.168.1.1");
  expect(gatewayOfProc(PROC.split("\n").slice(0, 1).join("\n"))).toBeUndefined();
  expect(gatewayOfProc("")).toBeUndefined();
});

test("what netstat prints on macOS, the BSDs and Windows", () => {
  expect(gatewayOfNetstat(MACOS)).toBe("192.168.1.1");
  expect(gatewayOfNetstat(WINDOWS)).toBe("192.168.1.1");
  expect(gatewayOfNetstat("default            link#20            UCSIg")).toBeUndefined();
});

test("the own address is the one in the gateway's network", () => {
  const own = [
    { address: "172.17.0.1", netmask: "255.255.0.0" },
    { address: "192.168.1.7", netmask: "255.255.255.0" },
  ];
  expect(localAddress("192.168.1.1", own)).toBe("192.168.1.7");
  expect(localAddress("10.0.0.1", own)).toBeUndefined();
});
