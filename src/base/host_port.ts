/** Hosts and ports as addresses are written: `host:port`, with brackets around IPv6. */

/** Gives `host:port` or `[v6]:port`. */
export function hostPort({ host, port }: { host: string; port: number }): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Gives the host of `host:port` or `[v6]:port`. */
export function hostOf(address: string): string {
  return bareHost(address.replace(/:\d+$/, ""));
}

/** Gives a host without the brackets of IPv6. */
export function bareHost(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}
