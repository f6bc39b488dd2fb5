// An Idempotency-Key (draft-ietf-httpapi-idempotency-key-header) → what a repeated request is recognised by, and what
// its answer is sealed under. Whoever has the database and our secret, but not the key, opens nothing. Pure.
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { Problem } from '../http/problem.ts'

/** All that is made of one key, for one caller. */
export type RetryKey = {
  /** What the stored answer is found by: a hash, as far as anybody without the key can tell. */
  readonly id: Buffer
  /** The same for the same request only. */
  fingerprint(method: string, path: string, body: unknown): Buffer
  seal(text: string): Buffer
  /** @throws Error when it was sealed under another key */
  open(sealed: Uint8Array): string
}

/** 22 characters of 64 are 132 bits. */
const shape = /^[A-Za-z0-9_-]{22,255}$/
/** Of a UUID, only version 4 is random enough (122 bits); the others are made of clocks and addresses. */
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const uuid4 = /^.{14}4.{4}[89ab]/i

/** Bare, or as the draft has it, in quotes. @throws Problem */
export function readIdempotencyKey(header: string | string[] | undefined): string | null {
  if (header === undefined) return null
  const text = String(header).replace(/^"(.*)"$/, '$1')
  if (shape.test(text) && (!uuid.test(text) || uuid4.test(text))) return text
  const detail = 'Must be a UUID of version 4, or 22 to 255 random characters of A-Z a-z 0-9 _ -.'
  throw new Problem('validation-failed', `idempotency-key: ${detail}`, {
    errors: [{ parameter: 'idempotency-key', detail }],
  })
}

/** @param server a key of ours, so that a stolen database does not even show whether a key was used */
export function retryKey(key: string, callerId: string, server: Buffer): RetryKey {
  const all = Buffer.from(hkdfSync('sha256', key, server, `latchkey retry ${callerId}`, 96))
  const [id, forPrints, forSeals] = [all.subarray(0, 32), all.subarray(32, 64), all.subarray(64)]
  return {
    id,
    fingerprint: (method, path, body) =>
      createHmac('sha256', forPrints)
        .update(`${method} ${path}\n${canonical(body)}`)
        .digest(),
    seal: (text) => seal(text, forSeals, id),
    open: (sealed) => open(Buffer.from(sealed), forSeals, id),
  }
}

const nonceBytes = 12
const tagBytes = 16

/** AES-256-GCM: nonce, tag, ciphertext. */
function seal(text: string, key: Buffer, context: Buffer): Buffer {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(context)
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed])
}

function open(sealed: Buffer, key: Buffer, context: Buffer): string {
  const nonce = sealed.subarray(0, nonceBytes)
  const tag = sealed.subarray(nonceBytes, nonceBytes + tagBytes)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  decipher.setAAD(context).setAuthTag(tag)
  return Buffer.concat([decipher.update(sealed.subarray(nonceBytes + tagBytes)), decipher.final()]).toString()
}

/** The same text for the same JSON, however its members are ordered. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, one]) => `${JSON.stringify(name)}:${canonical(one)}`).join(',')}}`
}
