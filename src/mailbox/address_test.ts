import { assertEquals } from "../base/testing.ts";
import { addressKey } from "./address.ts";

Deno.test("addressKey() stands for one household", () => {
  const rows = [
    ["IPv4", "192.0.2.7", "192.0.2.7"],
    ["IPv4 in IPv6", "::ffff:192.0.2.7", "192.0.2.7"],
    ["IPv6 in full", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["IPv6 of the same /64", "2001:DB8:1:2::9", "2001:db8:1:2::/64"],
    ["leading zeros", "2001:0db8:0001:0002::9", "2001:db8:1:2::/64"],
    ["short", "2001:db8::1", "2001:db8:0:0::/64"],
    ["loopback", "::1", "0:0:0:0::/64"],
    ["with a zone", "fe80::1%eth0", "fe80:0:0:0::/64"],
    ["rubbish of a proxy", "unknown", "unknown"],
  ] as const;
  for (const [description, ip, key] of rows) assertEquals(addressKey(ip), key, description);
});
