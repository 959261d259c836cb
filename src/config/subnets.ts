/** Sets of IP addresses. */
import { BlockList, isIP } from "node:net";

/** Gives the addresses of `blocks`, each `network/bits`. */
export function subnets(...blocks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const block of blocks) {
    const [address = "", bits] = block.split("/");
    list.addSubnet(address, Number(bits), isIP(address) === 4 ? "ipv4" : "ipv6");
  }
  return list;
}

/** Tells whether `host` is an address in `list`; a name is in none. */
export function contains(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 4 ? "ipv4" : "ipv6");
}

/** Addresses that mean something only near this machine (RFC 6890, RFC 6598, RFC 4193). */
export const NEAR = subnets(
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "169.254.0.0/16",
  "fc00::/7",
  "fe80::/10",
);
