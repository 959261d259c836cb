/** Makes reconnects.json anew: deno run -A tests/vectors/make_reconnects.ts. Nothing of src/session is used. */
import { encodeCbor } from "../../src/wire/cbor.ts";

const secret = Uint8Array.from({ length: 16 }, (_, i) => i * 16 + i);
const hex = (value: unknown) => encodeCbor(value).toHex();
const valid = [
  { description: "a receiver's first", link: 1, hex: hex({ reconnects: secret, link: 1 }) },
  { description: "a sender that has had no other link", link: 0, hex: hex({ reconnects: secret, link: 0 }) },
  { description: "the last number", link: 0xffff_ffff, hex: hex({ reconnects: secret, link: 0xffff_ffff }) },
  {
    description: "unknown fields",
    link: 7,
    hex: hex({ reconnects: secret, link: 7, later: [1, 2], more: true }),
    canonical: false,
  },
];
const other = [
  { description: "a link that is selected", hex: hex({ selected: true }) },
  { description: "a link that joins", hex: hex({ joins: 1 }) },
];
const invalid = [
  { description: "a short secret", code: "PROTOCOL", hex: hex({ reconnects: secret.slice(1), link: 1 }) },
  { description: "a long secret", code: "LIMIT_EXCEEDED", hex: hex({ reconnects: new Uint8Array(17), link: 1 }) },
  { description: "a secret that is text", code: "PROTOCOL", hex: hex({ reconnects: "0123456789abcdef", link: 1 }) },
  { description: "no number", code: "PROTOCOL", hex: hex({ reconnects: secret }) },
  { description: "a number below zero", code: "PROTOCOL", hex: hex({ reconnects: secret, link: -1 }) },
  {
    description: "a number beyond 32 bits",
    code: "LIMIT_EXCEEDED",
    hex: hex({ reconnects: secret, link: 2 ** 32 }),
  },
  { description: "no map", code: "PROTOCOL", hex: hex([secret, 1]) },
  { description: "no CBOR", code: "PROTOCOL", hex: "ff" },
  { description: "nothing", code: "PROTOCOL", hex: "" },
];
await Deno.writeTextFile(
  new URL("reconnects.json", import.meta.url),
  JSON.stringify({ secret: secret.toHex(), valid, other, invalid }, null, 2) + "\n",
);
