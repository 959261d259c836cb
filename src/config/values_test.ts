import {
  boolean,
  duration,
  hostAndPort,
  hubUrl,
  listenAddress,
  oneOf,
  path,
  size,
  wholeNumber,
} from "./values.ts";
import { assertEquals } from "../base/testing.ts";

Deno.test("size() reads every spelling as a power of 1024", () => {
  const type = size(1, 64 * 1024 ** 3);
  const rows: [string, number | undefined][] = [
    ["4MB", 4 * 1024 ** 2],
    ["4MiB", 4 * 1024 ** 2],
    ["4m", 4 * 1024 ** 2],
    ["4 MiB", 4 * 1024 ** 2],
    ["1.5K", 1536],
    ["4096", 4096],
    ["12B", 12],
    ["2GiB", 2 * 1024 ** 3],
    ["0", undefined],
    ["65GB", undefined],
    ["-1", undefined],
    ["4XB", undefined],
    ["many", undefined],
    ["", undefined],
    ["1e9", undefined],
    ["999999999999999P", undefined],
  ];
  for (const [text, bytes] of rows) assertEquals(type.parse(text), bytes, text);
  for (const bytes of [1, 1023, 1024, 1536, 4 * 1024 ** 2, 3 * 1024 ** 3]) {
    assertEquals(type.parse(type.format(bytes)), bytes);
  }
  assertEquals(type.format(4 * 1024 ** 2), "4MiB");
});

Deno.test("duration() reads units, sums of them and bare seconds", () => {
  const type = duration(0, 7 * 86_400_000);
  const rows: [string, number | undefined][] = [
    ["10m", 600_000],
    ["1h30m", 5_400_000],
    ["500ms", 500],
    ["90", 90_000],
    ["1.5s", 1500],
    ["2d", 172_800_000],
    ["8d", undefined],
    ["10 m", undefined],
    ["m", undefined],
    ["", undefined],
  ];
  for (const [text, ms] of rows) assertEquals(type.parse(text), ms, text);
  for (const ms of [0, 1, 999, 5_400_000, 90_061_001]) assertEquals(type.parse(type.format(ms)), ms);
});

Deno.test("wholeNumber(), oneOf(), boolean, path(), hostAndPort and hubUrl take what they should", () => {
  const rows: [string, { parse(text: string): unknown }, string, unknown][] = [
    ["in range", wholeNumber(1, 256), "256", 256],
    ["too large", wholeNumber(1, 256), "257", undefined],
    ["a fraction", wholeNumber(1, 256), "1.5", undefined],
    ["hexadecimal", wholeNumber(1, 256), "0x10", undefined],
    ["a choice in capitals", oneOf(["auto", "tcp"], "KIND"), "TCP", "tcp"],
    ["no choice", oneOf(["auto", "tcp"], "KIND"), "udp", undefined],
    ["1 as true", boolean, "1", true],
    ["off as false", boolean, "off", false],
    ["neither", boolean, "maybe", undefined],
    ["an empty path", path("FILE"), "", undefined],
    ["a path with NUL", path("FILE"), "a\0b", undefined],
    ["a path", path("FILE"), "-", "-"],
    ["a name with port", hostAndPort, "hub.lan:4000", "hub.lan:4000"],
    ["IPv6 with port", hostAndPort, "[::1]:4000", "[::1]:4000"],
    ["no port", hostAndPort, "hub.lan", undefined],
    ["port 0", hostAndPort, "hub.lan:0", undefined],
    ["port 0 to listen", listenAddress, "0.0.0.0:0", "0.0.0.0:0"],
    ["a bare port to listen", listenAddress, "4000", "4000"],
    ["no host to listen", listenAddress, ":4000", ":4000"],
    ["a bare host to listen", listenAddress, "hub.lan", undefined],
    ["a port too large", hostAndPort, "hub.lan:65536", undefined],
    ["a hub", hubUrl, "wss://hub.example/v1", "wss://hub.example/v1"],
    ["a bare hub", hubUrl, "hub.lan:4000", "hub.lan:4000"],
    ["no hub", hubUrl, "", ""],
    ["another protocol", hubUrl, "ftp://hub.example", undefined],
    ["a hub with a password", hubUrl, "ws://me:secret@hub", undefined],
  ];
  for (const [what, type, text, value] of rows) assertEquals(type.parse(text), value, what);
});
