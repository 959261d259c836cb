/** Typed values as people write them, for settings, environment variables and flags alike. */

/** How one kind of value is written and read. */
export interface ValueType<T> {
  /** What stands for the value in help: "SIZE". */
  readonly placeholder: string;
  /** What a person should give instead of a wrong value: "give a whole number from 1 to 256". */
  readonly wanted: string;
  /** The only values there are, for completion. */
  readonly choices?: readonly string[];
  /** What a shell completes the value with. */
  readonly completes?: "file" | "directory" | "peer";
  /** Reads the value; undefined when the text is not one. */
  parse(text: string): T | undefined;
  /** Writes the value as {@linkcode ValueType.parse} reads it. */
  format(value: T): string;
}

/** Any text. */
export function text(placeholder: string): ValueType<string> {
  return { placeholder, wanted: "give some text", parse: (given) => given, format: (value) => value };
}

/** A file or folder on this machine; never empty, never with a NUL. */
export function path(placeholder: string, completes: "file" | "directory" = "file"): ValueType<string> {
  return {
    placeholder,
    completes,
    wanted: completes === "file" ? "give the path of a file" : "give the path of a folder",
    parse: (given) => given === "" || given.includes("\0") ? undefined : given,
    format: (value) => value,
  };
}

/** What the person calls a machine that is known. */
export const peerName: ValueType<string> = {
  placeholder: "NAME",
  completes: "peer",
  wanted: "give the name of a machine, as wormhole peers list shows it",
  parse: (given) => given.trim() === "" ? undefined : given,
  format: (value) => value,
};

/** A whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number, placeholder = "N"): ValueType<number> {
  return {
    placeholder,
    wanted: `give a whole number from ${min} to ${max}`,
    parse(given) {
      if (!/^[+-]?\d{1,15}$/.test(given.trim())) return undefined;
      const value = Number(given);
      return value >= min && value <= max ? value : undefined;
    },
    format: String,
  };
}

/** One of `choices`. */
export function oneOf<const C extends string>(choices: readonly C[], placeholder: string): ValueType<C> {
  return {
    placeholder,
    choices,
    wanted: `give ${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`,
    parse: (given) => choices.find((choice) => choice === given.trim().toLowerCase()),
    format: (value) => value,
  };
}

/** True or false; 1, 0, yes, no, on and off are understood. */
export const boolean: ValueType<boolean> = {
  placeholder: "true|false",
  choices: ["true", "false"],
  wanted: "give true or false",
  parse(given) {
    const word = given.trim().toLowerCase();
    if (["true", "1", "yes", "on"].includes(word)) return true;
    if (["false", "0", "no", "off", ""].includes(word)) return false;
    return undefined;
  },
  format: String,
};

const SIZE_UNITS = ["", "K", "M", "G", "T", "P"];

/** A number of bytes such as 4096, 64K, 4MB or 4MiB. Every unit is a power of 1024: "4MB" is 4 MiB. */
export function size(min: number, max: number): ValueType<number> {
  return {
    placeholder: "SIZE",
    wanted: `give a size from ${formatSizeValue(min)} to ${formatSizeValue(max)}, such as 4MiB`,
    parse(given) {
      const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([KMGTP]?)(?:i?B)?$/i.exec(given.trim());
      if (!match) return undefined;
      const bytes = Math.round(Number(match[1]) * 1024 ** SIZE_UNITS.indexOf(match[2]!.toUpperCase()));
      return Number.isSafeInteger(bytes) && bytes >= min && bytes <= max ? bytes : undefined;
    },
    format: formatSizeValue,
  };
}

/** Writes a size exactly, in the largest unit that divides it. */
function formatSizeValue(bytes: number): string {
  let unit = 0;
  while (unit < SIZE_UNITS.length - 1 && bytes > 0 && bytes % 1024 === 0) {
    bytes /= 1024;
    unit++;
  }
  return unit === 0 ? String(bytes) : `${bytes}${SIZE_UNITS[unit]}iB`;
}

const DURATION_UNITS: readonly [string, number][] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
];

/** A time in ms such as 500ms, 30s, 10m, 1h30m or 2d; a bare number is seconds. */
export function duration(minMs: number, maxMs: number): ValueType<number> {
  return {
    placeholder: "TIME",
    wanted: `give a time from ${formatDurationValue(minMs)} to ${formatDurationValue(maxMs)}, such as 10m`,
    parse(given) {
      const word = given.trim().toLowerCase();
      if (/^\d{1,12}(\.\d{1,3})?$/.test(word)) return within(Number(word) * 1000);
      if (!/^(\d{1,12}(\.\d{1,3})?(ms|[dhms]))+$/.test(word)) return undefined;
      let total = 0;
      for (const [, number, unit] of word.matchAll(/([\d.]+)(ms|[dhms])/g)) {
        total += Number(number) * DURATION_UNITS.find(([name]) => name === unit)![1];
      }
      return within(total);
    },
    format: formatDurationValue,
  };
  function within(ms: number): number | undefined {
    return ms >= minMs && ms <= maxMs ? ms : undefined;
  }
}

/** Writes a time exactly: 90 minutes is "1h30m". */
function formatDurationValue(ms: number): string {
  let rest = ms;
  let written = "";
  for (const [name, unit] of DURATION_UNITS) {
    const count = name === "ms" ? rest : Math.floor(rest / unit);
    if (count > 0) written += `${count}${name}`;
    rest -= count * unit;
  }
  return written || "0s";
}

/** `host:port` of a peer, with a name, an IPv4 address or an IPv6 address in brackets. */
export const hostAndPort: ValueType<string> = {
  placeholder: "HOST:PORT",
  wanted: "give a name or address and a port, such as 192.0.2.7:4000 or [2001:db8::7]:4000",
  parse(given) {
    const match = /^(?:\[[0-9a-fA-F:.%\w]+\]|[^\s:[\]/@]+):(\d{1,5})$/.exec(given.trim());
    return match && Number(match[1]) >= 1 && Number(match[1]) <= 65535 ? match[0] : undefined;
  },
  format: (value) => value,
};

/** Where to listen: `host:port`, `:port` or `port`; port 0 takes a free one. */
export const listenAddress: ValueType<string> = {
  placeholder: "[HOST:]PORT",
  wanted: "give a port or an address with one, such as 4000, 127.0.0.1:4000 or [::]:4000",
  parse(given) {
    const match = /^(?:(?:\[[0-9a-fA-F:.%\w]+\]|[^\s:[\]/@]*):)?(\d{1,5})$/.exec(given.trim());
    return match && Number(match[1]) <= 65535 ? match[0] : undefined;
  },
  format: (value) => value,
};

/** The address of a hub: `wss://`, `ws://`, `https://`, `http://` or a bare `host[:port]`; "" for none. */
export const hubUrl: ValueType<string> = {
  placeholder: "URL",
  wanted: "give the address of a hub, such as wss://hub.example or hub.lan:4000",
  parse(given) {
    const word = given.trim();
    if (word === "") return "";
    const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(word) ? word : `ws://${word}`;
    if (!URL.canParse(full)) return undefined;
    const { protocol, hostname, username } = new URL(full);
    return /^(ws|http)s?:$/.test(protocol) && hostname !== "" && username === "" ? word : undefined;
  },
  format: (value) => value,
};
