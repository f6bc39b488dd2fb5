// Could this string be a token at all? Told offline by prefix and checksum, so that mistyped strings, other people's
// tokens and noise cost no network call. Whether the token exists is Latchkey's to say.
import { crc32 } from 'node:zlib'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const prefixPattern = /^[a-z][a-z0-9]{0,15}$/

export type SecretShape = (secret: string) => boolean

/**
 * @param prefixes those that Latchkey is or was configured with
 * @throws TypeError for one that it would not take
 */
export function secretShape(prefixes: readonly string[]): SecretShape {
  const wrong = prefixes.find((prefix) => !prefixPattern.test(prefix))
  if (prefixes.length === 0 || wrong !== undefined) {
    throw new TypeError(
      `prefixes: ${wrong ?? 'none'} is not like "lk": a lower-case letter, then letters and digits`,
    )
  }
  const pattern = new RegExp(`^(?:${prefixes.join('|')})_(?:pat|svc|tmp)_([0-9A-Za-z]{30})([0-9A-Za-z]{6})$`)
  return (secret) => {
    const parts = pattern.exec(secret)
    return parts !== null && checksum(parts[1]!) === parts[2]
  }
}

/** The CRC-32 of the random part, in six digits of base 62: GitHub's recipe. */
function checksum(random: string): string {
  let text = ''
  for (let value = crc32(random); value > 0; value = Math.floor(value / 62))
    text = alphabet[value % 62] + text
  return text.padStart(6, '0')
}
