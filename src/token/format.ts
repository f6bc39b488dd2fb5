// The string a bearer carries: <prefix>_<pat|svc|tmp>_ + 30 random base62 + 6 base62 of their CRC-32 (GitHub's
// recipe). Mistyped strings are recognised here, offline. What is stored of it is digest.ts's business.
import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { TokenType } from '../policy/facts.ts'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const randomLength = 30
const checksumLength = 6
const marker: Record<TokenType, string> = { personal: 'pat', service: 'svc', federated: 'tmp' }

/** What a configured prefix may be: no underscore, so that where it ends is never in doubt. */
export const prefixPattern = /^[a-z][a-z0-9]{0,15}$/

export function mintSecret(prefix: string, type: TokenType): string {
  const random = randomBase62(randomLength)
  return `${prefix}_${marker[type]}_${random}${checksum(random)}`
}

/** CRC-32 (IEEE) of the random part alone, base62, left-padded with `0`. */
export function checksum(random: string): string {
  let value = crc32(random)
  let text = ''
  for (; value > 0; value = Math.floor(value / 62)) text = alphabet[value % 62] + text
  return text.padStart(checksumLength, '0')
}

export type SecretShape = (secret: string) => boolean

/** A test for "could this be one of ours?": a known prefix, a known marker, a right checksum. No I/O. */
export function secretShape(prefixes: readonly string[]): SecretShape {
  const markers = Object.values(marker).join('|')
  const pattern = new RegExp(`^(?:${prefixes.join('|')})_(?:${markers})_([0-9A-Za-z]{30})([0-9A-Za-z]{6})$`)
  return (secret) => {
    const parts = pattern.exec(secret)
    return parts !== null && checksum(parts[1]!) === parts[2]
  }
}

/** Enough to recognise a secret by, far too little to use it: `lk_pat_3fZ8…Qk2c`. */
export function hintOf(secret: string): string {
  const body = secret.slice(-(randomLength + checksumLength))
  const head = secret.slice(0, -body.length)
  return `${head}${body.slice(0, 4)}…${body.slice(-4)}`
}

/** Unbiased: 248 is the largest multiple of 62 in a byte; what lies above is drawn again. */
function randomBase62(length: number): string {
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < 248 && text.length < length) text += alphabet[byte % 62]
    }
  }
  return text
}
