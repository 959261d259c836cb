/**
 * Field kinds that the message table is made of: each reads a decoded CBOR value into a typed one, or refuses
 * it naming the field, and writes it back.
 */
import { Tagged } from "cborg";
import { ERROR_NUMBERS, type ErrorCode, errorCode, WormholeError } from "../base/errors.ts";
import { TYPED_ARRAY_TAGS } from "./cbor.ts";

/** One kind of field. `where` names the field for error texts, like `offer.roots[3].name`. */
export interface Field<T> {
  read(value: unknown, where: string): T;
  write(value: T): unknown;
}

/** A field that may be missing. */
export interface OptionalField<T> extends Field<T | undefined> {
  readonly optional: true;
}

/** The named fields of a map. */
// deno-lint-ignore no-explicit-any
export type Fields = { readonly [key: string]: Field<any> };

type Value<F> = F extends Field<infer T> ? T : never;
type OptionalKeys<S extends Fields> = {
  [K in keyof S]: S[K] extends OptionalField<unknown> ? K : never;
}[keyof S];

/** The typed value of a map with these fields. */
export type ValueOf<S extends Fields> =
  & { readonly [K in Exclude<keyof S, OptionalKeys<S>>]: Value<S[K]> }
  & { readonly [K in OptionalKeys<S>]?: Exclude<Value<S[K]>, undefined> };

/** What an ability can be set to. */
export type AbilityValue = boolean | number | string | Uint8Array;

/** Gives the error for a field that breaks the protocol. */
export function wrong(where: string, state: string): WormholeError {
  return new WormholeError("PROTOCOL", `Cannot read a message: field "${where}" ${state}`);
}

/** Gives the error for a field over its limit. */
export function over(where: string, state: string): WormholeError {
  return new WormholeError("LIMIT_EXCEEDED", `Cannot read a message: field "${where}" ${state}`);
}

/** A whole number from `min` to `max`. */
export function uint(
  max: number = Number.MAX_SAFE_INTEGER,
  { min = 0 }: { min?: number } = {},
): Field<number> {
  return {
    read(value, where) {
      // A number that does not fit 2^53 comes as a bigint, a negative one as itself.
      if (typeof value === "bigint" && value > 0n) throw over(where, `is ${value}, the limit is ${max}`);
      if (typeof value !== "number" || value < min) throw wrong(where, `is not a number from ${min} on`);
      if (value > max) throw over(where, `is ${value}, the limit is ${max}`);
      return value;
    },
    write: (value) => value,
  };
}

/** True or false. */
export const bool: Field<boolean> = {
  read(value, where) {
    if (typeof value !== "boolean") throw wrong(where, "is not true or false");
    return value;
  },
  write: (value) => value,
};

/** Text of at most `max` bytes of UTF-8. */
export function text(max: number): Field<string> {
  return {
    read(value, where) {
      if (typeof value !== "string") throw wrong(where, "is not text");
      // A character has at least one byte, so the cheap test comes first.
      if (value.length > max || new TextEncoder().encode(value).length > max) {
        throw over(where, `is longer than ${max} bytes`);
      }
      return value;
    },
    write: (value) => value,
  };
}

/** A byte string of `min` to `max` bytes. */
export function bytes(max: number, { min = 0 }: { min?: number } = {}): Field<Uint8Array> {
  return {
    read(value, where) {
      if (!(value instanceof Uint8Array)) throw wrong(where, "is not a byte string");
      if (value.length < min) throw wrong(where, `has ${value.length} bytes, not ${min}`);
      if (value.length > max) throw over(where, `has ${value.length} bytes, the limit is ${max}`);
      return value;
    },
    write: (value) => value,
  };
}

/** A typed array (RFC 8746) of at most `max` little-endian numbers, kept as its bytes. */
export function column(kind: keyof typeof TYPED_ARRAY_TAGS, max: number): Field<Uint8Array> {
  const tag = TYPED_ARRAY_TAGS[kind];
  const width = Number(kind.slice(1)) / 8;
  return {
    read(value, where) {
      if (!(value instanceof Tagged) || value.tag !== tag) throw wrong(where, `is not a ${kind} typed array`);
      const data = value.value as Uint8Array;
      if (data.length % width !== 0) throw wrong(where, `is not a whole number of ${kind}`);
      if (data.length > max * width) throw over(where, `has more than ${max} numbers`);
      return data;
    },
    write: (value) => new Tagged(tag, value),
  };
}

/** One word of a closed set. */
export function word<const W extends string>(...words: W[]): Field<W> {
  return {
    read(value, where) {
      if (typeof value !== "string" || !(words as string[]).includes(value)) {
        throw wrong(where, `is none of ${words.join(", ")}`);
      }
      return value as W;
    },
    write: (value) => value,
  };
}

/** An error number; one that we do not know reads as INTERNAL. */
export const code: Field<ErrorCode> = {
  read: (value, where) => errorCode(uint(0xffff).read(value, where)),
  write: (value) => ERROR_NUMBERS[value],
};

/** At most `max` items of one kind. */
export function list<T>(item: Field<T>, max: number): Field<readonly T[]> {
  return {
    read(value, where) {
      if (!Array.isArray(value)) throw wrong(where, "is not a list");
      if (value.length > max) throw over(where, `has ${value.length} items, the limit is ${max}`);
      return value.map((each, i) => item.read(each, `${where}[${i}]`));
    },
    write: (value) => value.map((each) => item.write(each)),
  };
}

/** A map with these fields; others are ignored. */
export function record<S extends Fields>(fields: S): Field<ValueOf<S>> {
  const entries = Object.entries(fields);
  return {
    read(value, where) {
      if (!isMap(value)) throw wrong(where, "is not a map");
      const result: Record<string, unknown> = {};
      for (const [key, field] of entries) {
        const here = where === "" ? key : `${where}.${key}`;
        if (!Object.hasOwn(value, key)) {
          if (!("optional" in field)) throw wrong(here, "is missing");
        } else result[key] = field.read(value[key], here);
      }
      return result as ValueOf<S>;
    },
    write(value) {
      const result: Record<string, unknown> = {};
      for (const [key, field] of entries) {
        const each = (value as Record<string, unknown>)[key];
        if (each !== undefined) result[key] = field.write(each);
      }
      return result;
    },
  };
}

/** A field that may be missing; it is never null. */
export function optional<T>(field: Field<T>): OptionalField<T> {
  return { optional: true, read: field.read, write: (value) => field.write(value as T) };
}

/** Negotiated options by name; values of kinds that we do not know are dropped. */
export function abilities(max: number, maxBytes: number): Field<Readonly<Record<string, AbilityValue>>> {
  const name = text(maxBytes);
  return {
    read(value, where) {
      if (!isMap(value)) throw wrong(where, "is not a map");
      const keys = Object.keys(value);
      if (keys.length > max) throw over(where, `has ${keys.length} abilities, the limit is ${max}`);
      const result: Record<string, AbilityValue> = Object.create(null);
      for (const key of keys) {
        name.read(key, `${where} (a name)`);
        const each = value[key];
        if (typeof each === "string") result[key] = name.read(each, `${where} (a value)`);
        else if (each instanceof Uint8Array) result[key] = bytes(maxBytes).read(each, `${where} (a value)`);
        else if (typeof each === "boolean" || typeof each === "number") result[key] = each;
      }
      return result;
    },
    write: (value) => ({ ...value }),
  };
}

/** Version as `[major, minor]`. */
export function version(): Field<{ readonly major: number; readonly minor: number }> {
  const part = uint(0xffff);
  return {
    read(value, where) {
      // More than two numbers are fine: a later version may say more.
      const parts = list(part, 4).read(value, where);
      return { major: part.read(parts[0], `${where}[0]`), minor: part.read(parts[1], `${where}[1]`) };
    },
    write: ({ major, minor }) => [major, minor],
  };
}

/** Tells whether a decoded CBOR value is a map. */
export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Uint8Array) && !(value instanceof Tagged);
}
