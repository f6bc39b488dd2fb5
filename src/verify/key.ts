// The key under which memory knows a secret: its SHA-256, as a string of 32 latin1 characters, and the same as
// eight 32-bit words. What is stored at rest is another matter (a keyed digest, see token/): this key never leaves
// the process, and a plain hash is enough for it because secrets carry 178 random bits.

import { hash } from 'node:crypto'

declare const made: unique symbol

/** 32 characters, each one byte of the SHA-256. Branded, so that nothing but `keyOf` makes one by accident. */
export type Key = string & { readonly [made]: true }

/**
 * One-shot into a string: ~300 ns, and ~45 ns more to read its words. Asking for a Buffer costs ~850 ns, because
 * each answer is then a new native allocation. `crypto.hash` is release-candidate API in Node 20: this is its only
 * caller, so a change of mind there is a change of one line here.
 */
export const keyOf = (secret: string): Key => hash('sha256', secret, 'binary') as Key

/** A character above 0xff would spill into its neighbours and make two keys look alike. */
export function assertKey(key: Key): void {
  if (!/^[\x00-\xff]{32}$/.test(key)) throw new RangeError('a key is 32 characters of one byte each')
}

/** Unrolled by hand: a loop over the characters takes twice as long, and every check passes here. */
export function loadKey(key: Key, words: Int32Array): void {
  words[0] = word(key, 0)
  words[1] = word(key, 4)
  words[2] = word(key, 8)
  words[3] = word(key, 12)
  words[4] = word(key, 16)
  words[5] = word(key, 20)
  words[6] = word(key, 24)
  words[7] = word(key, 28)
}

function word(key: string, at: number): number {
  return (
    key.charCodeAt(at) |
    (key.charCodeAt(at + 1) << 8) |
    (key.charCodeAt(at + 2) << 16) |
    (key.charCodeAt(at + 3) << 24)
  )
}
