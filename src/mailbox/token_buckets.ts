/** Shape of {@linkcode TokenBuckets}. */
export interface TokenBucketOptions {
  /** Most tokens that a key can save up. */
  burst: number;
  /** Tokens that come back per ms. */
  perMs: number;
  /** Most keys remembered; caps memory. */
  keys: number;
}

/**
 * One token bucket per key. A key that has been quiet until its bucket is full again costs no memory;
 * when too many keys are remembered, unknown keys share one bucket, so a flood of keys gains nothing.
 */
export class TokenBuckets {
  readonly #options: TokenBucketOptions;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(options: TokenBucketOptions) {
    this.#options = options;
  }

  /** Takes one token of `key` at `nowMs`; false when there is none. */
  take(key: string, nowMs: number): boolean {
    const { burst, perMs, keys } = this.#options;
    if (!this.#buckets.has(key) && this.#buckets.size >= keys) {
      this.forgetFull(nowMs);
      if (this.#buckets.size >= keys) key = "";
    }
    const bucket = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs };
    bucket.tokens = Math.min(burst, bucket.tokens + Math.max(0, nowMs - bucket.atMs) * perMs);
    bucket.atMs = nowMs;
    this.#buckets.set(key, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  /** Drops the buckets that are full again. */
  forgetFull(nowMs: number): void {
    const { burst, perMs } = this.#options;
    for (const [key, { tokens, atMs }] of this.#buckets) {
      if (tokens + (nowMs - atMs) * perMs >= burst) this.#buckets.delete(key);
    }
  }

  /** Number of keys remembered. */
  get size(): number {
    return this.#buckets.size;
  }
}
