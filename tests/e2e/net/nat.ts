/** The rules of a router's packet filter, in the language of nftables. Terms: RFC 4787, RFC 3489 §5. */

/**
 * How a router translates: with the three cones a host's port has one public port for every peer; `full-cone`: anybody may
 * send there; `restricted`: hosts that were sent to; `port-restricted`: the very ports that were sent to. `symmetric`:
 * another public port for each peer, which alone may answer. `none`: public addresses, nothing is translated.
 */
export type NatKind = "none" | "full-cone" | "restricted" | "port-restricted" | "symmetric";

/** The kinds that translate. */
export const NAT_KINDS = ["full-cone", "restricted", "port-restricted", "symmetric"] as const;

/** Not the ports that hosts draw for themselves (32768 and up), so that nobody gets through who takes it for that. */
const PUBLIC_PORTS = "10000-19999";

/** Gives the rules of a router between `lan0` and `wan0`. */
export function firewall(
  { nat, udp = true, onlyTcpPort, ip = 4, open = false }: {
    nat: NatKind;
    udp?: boolean;
    onlyTcpPort?: number;
    ip?: 4 | 6;
    open?: boolean;
  },
): string {
  const outgoing = [
    ...udp ? [] : ["meta l4proto udp drop"],
    ...onlyTcpPort === undefined ? [] : [`meta l4proto != tcp drop\ntcp dport != ${onlyTcpPort} drop`],
  ].map((rules) => rules.replaceAll(/^/gm, "iifname lan0 ")).join("\n");
  const guarded = nat !== "none" || (ip === 6 && !open);
  return `
table inet filter {
  chain forward {
    type filter hook forward priority filter
    ${outgoing}
    iifname wan0 ct status dnat accept
    ${guarded ? "iifname wan0 ct state != { established, related } drop" : ""}
  }
  # What was refused must not stay in the connection table: it would occupy the port that a host is about to use.
  chain input {
    type filter hook input priority filter
    ${nat === "none" ? "" : "iifname wan0 ct state != { established, related } drop"}
  }
}
${nat === "none" ? "" : translation(nat)}`;
}

/**
 * Masquerading keeps a host's public port for further peers unless it is told to draw a random one each time; answers alone
 * come back through it. What a cone lets in besides is noted when a packet leaves.
 */
function translation(nat: Exclude<NatKind, "none">): string {
  const inbound = {
    "full-cone": "udp dport @open dnat ip to udp dport map @inside",
    restricted: "ip saddr . udp dport @contacted dnat ip to udp dport map @inside",
    "port-restricted": "",
    symmetric: "",
  }[nat];
  const random = nat === "symmetric" ? "fully-random" : "";
  return `
table ip nat {
  map inside {
    type inet_service : ipv4_addr . inet_service
    flags dynamic, timeout
    timeout 5m
    size 4096
  }
  set open {
    type inet_service
    flags dynamic, timeout
    timeout 5m
    size 4096
  }
  set contacted {
    type ipv4_addr . inet_service
    flags dynamic, timeout
    timeout 5m
    size 4096
  }
  chain prerouting {
    type nat hook prerouting priority dstnat
    ${inbound === "" ? "" : `iifname wan0 ${inbound}`}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname wan0 meta l4proto { tcp, udp } masquerade to :${PUBLIC_PORTS} ${random}
    oifname wan0 masquerade
  }
  chain note {
    type filter hook postrouting priority srcnat + 10
    oifname wan0 meta l4proto udp add @inside { udp sport : ct original ip saddr . ct original proto-src }
    oifname wan0 meta l4proto udp update @open { udp sport }
    oifname wan0 meta l4proto udp update @contacted { ip daddr . udp sport }
  }
}`;
}
