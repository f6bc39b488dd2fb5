// The keys under which digests are stored. Each is derived from the operator's secret by Argon2id, so the
// database alone (a backup, a replica, a leak) is worth nothing. Its salt and a check value are in digest_key.
import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { hashRaw } from '@node-rs/argon2'
import { type Selectable, sql } from 'kysely'
import { newId } from '../db/ids.ts'
import type { Db, DigestKeyTable, Trx } from '../db/tables.ts'
import { createDigester, type Digester } from './digest.ts'

export type KeyRing = {
  readonly currentId: string
  /** HMAC-SHA-256 of the whole secret under the current key: what is stored. */
  digest(secret: string): Buffer
  /** The same under every key of the ring: what is looked for. */
  digests(secret: string): Buffer[]
  /** For memory: the same digests without allocation, the current key's first. */
  readonly digesters: readonly Digester[]
  /** A key for another purpose, the same on every replica; `purpose` keeps it apart from the rest. */
  subkey(purpose: string): Buffer
}

type Secrets = { readonly current: string; readonly previous: string | null }
type Key = { readonly id: string; readonly master: Buffer; readonly hmac: Buffer }

// OWASP's first choice for Argon2id (m=46 MiB, t=1, p=1); it runs once for each start.
const cost = { memory_kib: 47_104, passes: 1, lanes: 1 }
const argon2id = 2

/** @throws Error when a secret does not belong to this database */
export function openKeyRing(db: Db, secrets: Secrets, now: Date): Promise<KeyRing> {
  return db.transaction().execute(async (trx) => {
    // Replicas that start together on a new database must not each make a key of their own.
    await sql`lock table digest_key in share row exclusive mode`.execute(trx)
    const rows = await trx.selectFrom('digest_key').selectAll().orderBy('id').execute()
    const { known, previous } = await opened(rows, secrets)
    const current = known ?? (await addKey(trx, secrets.current, after(rows.at(-1), now)))
    return ringOf(current, previous ? [current, previous] : [current])
  })
}

/**
 * What openKeyRing would do, and nothing more: `opens` the database's key, makes its `first`, or one that `replaces` it.
 * @throws Error when a secret does not belong to this database
 */
export async function checkSecrets(db: Db, secrets: Secrets): Promise<'opens' | 'first' | 'replaces'> {
  const rows = await db.selectFrom('digest_key').selectAll().orderBy('id').execute()
  const { known } = await opened(rows, secrets)
  if (known) return 'opens'
  return rows.length === 0 ? 'first' : 'replaces'
}

/** @param rows in the order in which they were made */
async function opened(rows: readonly Selectable<DigestKeyTable>[], { current, previous: former }: Secrets) {
  const previous = former === null ? null : await matching(rows, former)
  if (former !== null && !previous) throw wrongSecret('LATCHKEY_SECRET_PREVIOUS')
  const known = await matching(rows, current)
  // A database that has keys gets another only from somebody who knows the former secret.
  if (!known && rows.length > 0 && !previous) throw wrongSecret('LATCHKEY_SECRET')
  // Under a secret that has been replaced, all tokens made since would be unknown.
  if (known && known.id !== rows.at(-1)!.id) throw wrongSecret('LATCHKEY_SECRET')
  return { known, previous }
}

function wrongSecret(name: string): Error {
  return new Error(
    `${name} is not the secret this database was made with. Set the right one; to replace it, set the new one as LATCHKEY_SECRET and the former as LATCHKEY_SECRET_PREVIOUS.`,
  )
}

async function matching(rows: readonly Selectable<DigestKeyTable>[], secret: string): Promise<Key | null> {
  for (const row of rows) {
    const master = await derive(secret, row)
    if (timingSafeEqual(expand(master, 'check'), row.check_value)) return keyOf(row.id, master)
  }
  return null
}

/** Keys follow one another by their ids, and so by these times, whatever the clocks of the machines that make them say. */
function after(last: Selectable<DigestKeyTable> | undefined, now: Date): Date {
  return last === undefined ? now : new Date(Math.max(now.getTime(), last.created_at.getTime() + 1))
}

async function addKey(trx: Trx, secret: string, now: Date): Promise<Key> {
  const salted = { ...cost, salt: randomBytes(16) }
  const master = await derive(secret, salted)
  const id = newId('key', now.getTime())
  await trx
    .insertInto('digest_key')
    .values({ id, ...salted, check_value: expand(master, 'check'), created_at: now })
    .execute()
  return keyOf(id, master)
}

function derive(
  secret: string,
  salted: { salt: Uint8Array; memory_kib: number; passes: number; lanes: number },
) {
  return hashRaw(secret, {
    algorithm: argon2id,
    salt: Buffer.from(salted.salt),
    memoryCost: salted.memory_kib,
    timeCost: salted.passes,
    parallelism: salted.lanes,
    outputLen: 32,
  })
}

const expand = (master: Buffer, purpose: string) =>
  Buffer.from(hkdfSync('sha256', master, '', `latchkey ${purpose}`, 32))
const keyOf = (id: string, master: Buffer): Key => ({ id, master, hmac: expand(master, 'token digest') })

function ringOf(current: Key, all: readonly Key[]): KeyRing {
  const under = (key: Key, secret: string) => createHmac('sha256', key.hmac).update(secret).digest()
  return {
    currentId: current.id,
    digest: (secret) => under(current, secret),
    digests: (secret) => all.map((key) => under(key, secret)),
    digesters: all.map((key) => createDigester(key.hmac)),
    subkey: (purpose) => expand(current.master, purpose),
  }
}
