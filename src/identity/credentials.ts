// Client id and secret of a service. People may choose the secret, so it is stored as Argon2id; as that costs
// milliseconds, a right one is remembered for some minutes under a keyed digest, and forgotten when anything changes.
import { hash as hashOnce, randomBytes } from 'node:crypto'
import { hash, verify } from '@node-rs/argon2'
import type { Db, Trx } from '../db/tables.ts'
import { transactOn } from '../db/transact.ts'
import { Problem } from '../http/problem.ts'
import { serviceById, serviceSecrets } from './queries.ts'

export type ServiceIdentity = { readonly id: string; readonly checksIp: boolean }

export type Credentials = {
  /** The service whose credentials came in this very Authorization header not long ago; null: not known. */
  recall(header: string): ServiceIdentity | null
  /**
   * null: no such client, or not its secret.
   * @param header the Authorization header, where they came in one
   * @throws Problem unavailable when too many are being verified, or it cannot be known now
   */
  check(clientId: string, secret: string, header?: string): Promise<ServiceIdentity | null>
  /** A service by its id, without asking who it is; for bearer callers that speak for one, and for gateways. */
  service(id: string): Promise<ServiceIdentity | null>
  /** To be called when a service or its secrets have changed. */
  forget(): void
}

/** Ids and secrets come from [A-Za-z0-9_-], as some clients percent-encode the rest in Basic and others do not. */
export const clientSecretPattern = '^[A-Za-z0-9_-]{12,128}$'

export type CredentialsDependencies = {
  readonly db: Db
  /** Throws when the connection leads to a former primary; see verify/replicas.ts. */
  readonly admit: (trx: Trx) => Promise<void>
  /** Nothing that was remembered counts without it: a credential may have been removed meanwhile. */
  readonly lease: { holds(): boolean; wait(): Promise<boolean> }
  readonly key: Buffer
}

const argon2id = 2
// OWASP: m=19 MiB, t=2, p=1.
const cost = { algorithm: argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const rememberMs = 5 * 60_000
const mostRemembered = 1_000
const mostAtOnce = 2
const mostWaiting = 64
const mostReads = 3

export const newClientSecret = () => `lks_${randomBytes(32).toString('base64url')}`
export const hashClientSecret = (secret: string) => hash(secret, cost)

export function createCredentials({ db, admit, lease, key }: CredentialsDependencies): Credentials {
  const transact = transactOn(db)
  const prefix = key.toString('base64')
  const verified = new Map<string, { service: ServiceIdentity; until: number }>()
  const beingVerified = new Map<string, Promise<ServiceIdentity | null>>()
  const known = new Map<string, ServiceIdentity>()
  const limited = limiter(mostAtOnce, mostWaiting)
  // An unknown client costs what a wrong secret costs, so that ids cannot be probed by time.
  const decoy = hashClientSecret(newClientSecret())
  let generation = 0
  // A caller sends the same header with each request: the last that was right is compared before it is digested.
  let last: { readonly header: string; readonly service: ServiceIdentity; readonly until: number } | null =
    null
  // Keyed by a digest that nobody without the key can guess secrets against; one shot, as it is on the hot path.
  const digestOf = (presented: string) => hashOnce('sha256', prefix + presented, 'base64')

  function entryOf(digest: string) {
    const entry = verified.get(digest)
    return entry && performance.now() < entry.until ? entry : null
  }

  const read = <T>(work: (trx: Trx) => Promise<T>): Promise<T> =>
    transact(async (trx) => {
      await admit(trx)
      return work(trx)
    })

  /** What is remembered, else what is found, as far as no change and no loss of the lease overtook it. */
  async function current<T>(
    remembered: () => T | null,
    find: () => Promise<T | null>,
    remember: (found: T) => void,
  ): Promise<T | null> {
    for (let tries = 1; ; tries++) {
      if (!lease.holds() && !(await lease.wait())) throw unavailable()
      const known = remembered()
      if (known) return known
      const begun = generation
      const found = await find().catch((error: Error) => {
        if (tries === mostReads || error instanceof Problem) throw error
        return undefined
      })
      const isUnchanged = begun === generation
      if (found && isUnchanged) remember(found)
      if (found !== undefined && lease.holds() && (isUnchanged || tries === mostReads)) return found
      if (tries === mostReads) throw unavailable()
    }
  }

  /** Many requests of one service come at once after a start; they are one verification. */
  function verifyTogether(digest: string, clientId: string, secret: string): Promise<ServiceIdentity | null> {
    const begun = beingVerified.get(digest)
    if (begun) return begun
    const verification = limited(async () => slowCheck(read, clientId, secret, await decoy))
    beingVerified.set(digest, verification)
    const over = () => {
      if (beingVerified.get(digest) === verification) beingVerified.delete(digest)
    }
    verification.then(over, over)
    return verification
  }

  return {
    recall(header) {
      if (!lease.holds()) return null
      if (last !== null && last.header === header && performance.now() < last.until) return last.service
      const entry = entryOf(digestOf(header))
      last = entry && { header, service: entry.service, until: entry.until }
      return entry?.service ?? null
    },
    check(clientId, secret, header) {
      const digest = digestOf(header ?? `${clientId}\0${secret}`)
      return current(
        () => entryOf(digest)?.service ?? null,
        () => verifyTogether(digest, clientId, secret),
        (service) => keep(verified, digest, { service, until: performance.now() + rememberMs }),
      )
    },
    service: (id) =>
      current(
        () => known.get(id) ?? null,
        async () => {
          const row = await read((trx) => serviceById(trx, id))
          return row ? { id: row.id, checksIp: row.checks_ip } : null
        },
        (service) => keep(known, id, service),
      ),
    forget() {
      generation += 1
      last = null
      for (const map of [verified, beingVerified, known]) map.clear()
    },
  }
}

/** Bounded, in the simplest way: there are few services, so it hardly ever happens. */
function keep<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= mostRemembered) map.clear()
  map.set(key, value)
}

async function slowCheck(
  read: <T>(work: (trx: Trx) => Promise<T>) => Promise<T>,
  clientId: string,
  secret: string,
  decoy: string,
): Promise<ServiceIdentity | null> {
  // No other can have been registered, and the store refuses some (a NUL).
  const rows = /^[a-z0-9_-]+$/.test(clientId) ? await read((trx) => serviceSecrets(trx, clientId)) : []
  for (const { phc, checksIp } of rows) {
    if (await verify(phc, secret)) return { id: clientId, checksIp }
  }
  if (rows.length === 0) await verify(decoy, secret)
  return null
}

/** Argon2id takes a core and 19 MiB each; guesses must not take the machine. */
function limiter(most: number, waiting: number) {
  const queue: (() => void)[] = []
  let running = 0
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= most) {
      if (queue.length >= waiting)
        throw new Problem('unavailable', 'Too many credentials are being verified.')
      await new Promise<void>((go) => queue.push(go))
    }
    running += 1
    try {
      return await work()
    } finally {
      running -= 1
      queue.shift()?.()
    }
  }
}

const unavailable = () =>
  new Problem(
    'unavailable',
    'This replica cannot know at the moment whether the credentials are good. Try again.',
  )
