import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { type ProxiedScheme, Proxies, proxyPlace } from "./proxies.ts";

function of(variables: Record<string, string>): Proxies {
  return new Proxies((name) => variables[name]);
}

Deno.test("Proxies.for() takes the variable that counts for the scheme", () => {
  const every = {
    http_proxy: "http://a:1",
    HTTPS_PROXY: "http://b:2",
    ALL_PROXY: "socks5h://c:3",
  };
  const rows: [string, Record<string, string>, ProxiedScheme, string | undefined][] = [
    ["nothing is set", {}, "wss", undefined],
    ["plain web sockets", every, "ws", "http a:1"],
    ["encrypted web sockets", every, "wss", "http b:2"],
    ["machines: the one for everything first", every, "tcp", "socks5 c:3"],
    ["machines: else the one that tunnels TLS", { https_proxy: "b:2" }, "tcp", "http b:2"],
    ["machines: never the one for plain text", { http_proxy: "a:1" }, "tcp", undefined],
    ["everything stands in", { all_proxy: "socks5://c" }, "ws", "socks5 c:1080"],
    [
      "small letters go first",
      { HTTPS_PROXY: "http://big:1", https_proxy: "http://small:2" },
      "wss",
      "http small:2",
    ],
    ["an empty one is not set", { https_proxy: " ", HTTPS_PROXY: "http://big:1" }, "wss", "http big:1"],
    ["what a web server hands on", { HTTP_PROXY: "http://evil:1", REQUEST_METHOD: "GET" }, "ws", undefined],
    ["no port", { https_proxy: "http://p" }, "wss", "http p:80"],
    ["an IPv6 address", { https_proxy: "http://[2001:db8::1]:3128" }, "wss", "http [2001:db8::1]:3128"],
    ["a path is no matter", { https_proxy: "http://p:8080/" }, "wss", "http p:8080"],
  ];
  for (const [what, variables, scheme, place] of rows) {
    const proxy = of(variables).for(scheme, { host: "hub.example", port: 443 });
    assertEquals(proxy && `${proxy.kind} ${proxyPlace(proxy)}`, place, what);
  }
});

Deno.test("Proxies.for() leaves out what is near and what NO_PROXY names", () => {
  const rows: [string, string, number, boolean][] = [
    // NO_PROXY, host, port, whether the proxy is used
    ["", "hub.example", 443, true],
    ["", "localhost", 443, false],
    ["", "a.localhost.", 443, false],
    ["", "127.0.0.9", 443, false],
    ["", "[::1]", 443, false],
    ["", "0.0.0.0", 443, false],
    ["", "10.1.2.3", 443, false],
    ["", "172.31.0.1", 443, false],
    ["", "172.32.0.1", 443, true],
    ["", "192.168.1.7", 443, false],
    ["", "100.64.0.1", 443, false],
    ["", "169.254.1.1", 443, false],
    ["", "fd12::1", 443, false],
    ["", "[fe80::1]", 443, false],
    ["", "::ffff:10.1.2.3", 443, false],
    ["", "203.0.113.7", 443, true],
    ["", "[2001:db8::7]", 443, true],
    ["*", "hub.example", 443, false],
    ["hub.example", "hub.example", 443, false],
    ["HUB.Example.", "hub.example", 443, false],
    ["hub.example", "a.hub.example.", 443, false],
    ["hub.example", "nothub.example", 443, true],
    [".example", "hub.example", 443, false],
    [".example", "example", 443, false],
    ["*.example", "hub.example", 443, false],
    ["other, hub.example", "hub.example", 443, false],
    ["other hub.example", "hub.example", 443, false],
    ["hub.example:443", "hub.example", 443, false],
    ["hub.example:443", "hub.example", 444, true],
    ["203.0.113.7", "203.0.113.7", 443, false],
    ["203.0.113.7:80", "203.0.113.7", 443, true],
    ["203.0.113.0/24", "203.0.113.7", 443, false],
    ["203.0.113.0/29", "203.0.113.8", 443, true],
    ["0.0.0.0/0", "203.0.113.8", 443, false],
    ["0.0.0.0/0", "hub.example", 443, true],
    ["203.0.113.0/33", "203.0.113.7", 443, true],
    ["2001:db8::/32", "[2001:db8::7]", 443, false],
    ["[2001:db8::7]:443", "2001:db8::7", 443, false],
    ["2001:db8::/48", "2001:db8:1::7", 443, true],
    ["113.7", "203.0.113.7", 443, true],
    [".", "hub.example", 443, true],
    [", ,", "hub.example", 443, true],
  ];
  for (const [NO_PROXY, host, port, used] of rows) {
    const proxy = of({ ALL_PROXY: "http://p:1", NO_PROXY }).for("wss", { host, port });
    assertEquals(proxy !== undefined, used, `${host}:${port} with NO_PROXY=${NO_PROXY}`);
  }
});

Deno.test("Proxies.for() leaves out the public addresses that this machine has at the moment", () => {
  const own: string[] = [];
  const proxies = new Proxies((name) => ({ ALL_PROXY: "http://p:1" })[name], () => own);
  const used = (host: string) => proxies.for("tcp", { host, port: 443 }) !== undefined;
  assertEquals([used("203.0.113.7"), used("[2001:db8::7]")], [true, true]);
  own.push("203.0.113.7", "2001:db8::7");
  assertEquals([used("203.0.113.7"), used("[2001:DB8::7]"), used("203.0.113.8")], [false, false, true]);
});

Deno.test("Proxies.forUrl() knows the ports that a URL leaves out", () => {
  const proxies = of({ ALL_PROXY: "http://p:1", NO_PROXY: "a:443,b:80,c:4000" });
  const rows: [string, boolean][] = [
    ["wss://a/v1", false],
    ["ws://a/v1", true],
    ["ws://b/v1", false],
    ["https://b/", true],
    ["ws://c:4000/v1", false],
    ["ws://c:4001/v1", true],
  ];
  for (const [url, used] of rows) assertEquals(proxies.forUrl(new URL(url)) !== undefined, used, url);
});

Deno.test("Proxies reads user names and passwords, and shows neither", () => {
  const proxies = of({ ALL_PROXY: "socks5://us%40er:pa%3Ass@p:9" });
  const proxy = proxies.for("tcp", { host: "203.0.113.7", port: 1 })!;
  assertEquals([proxy.user, proxy.password, proxyPlace(proxy)], ["us@er", "pa:ss", "p:9"]);
  assertEquals(proxies.list(), [{ variable: "ALL_PROXY", place: "socks5 p:9" }]);
});

Deno.test("Proxies.for() names a variable that cannot be used, without its value", () => {
  const rows: [string, string][] = [
    ["ftp://secret@p:1", "it must begin with http://, socks5:// or socks5h://"],
    ["https://secret@p:1", "it must begin with http://, socks5:// or socks5h://"],
    ["http://secret@:1", "it is no address"],
    ["socks5://secret@p:99999", "it is no address"],
    ["socks5://secret@p:0", "it has no port"],
    ["socks5://", "the host is missing"],
    ["http://secret%@p:1", "its user name or password is not percent-encoded"],
    [`http://u:${"secret".repeat(50)}@p:1`, "its user name or password is longer than 255 bytes"],
    ["http://sec%3Aret:x@p:1", "its user name holds a colon"],
  ];
  for (const [value, state] of rows) {
    const proxies = of({ https_proxy: value });
    const error = assertThrows(
      () => proxies.for("wss", { host: "hub.example", port: 443 }),
      "INVALID_ARGUMENT",
    );
    assertEquals(error.message, `Cannot use the proxy in https_proxy: ${state}`, value);
    assertTrue(!JSON.stringify(proxies.list()).includes("secret"), value);
    assertEquals(proxies.for("ws", { host: "hub.example", port: 80 }), undefined, "only where it counts");
  }
});
