// What is published now, in the memory of this replica: read when it is first asked for, parsed once for each digest,
// forgotten when a change says so, like facts about tokens. A read that such a change overtook is not kept.
import type { Db, Trx } from '../db/tables.ts'
import {
  type ScopeGroupRow,
  type ScopeRow,
  type ServiceRow,
  scopeGroups,
  scopes,
  services,
} from '../identity/queries.ts'
import { basesOf, ownHostsOf } from './claims.ts'
import type { Guidance } from './guidance.ts'
import type { Published, PublishedService } from './published.ts'
import { digests, documents, guidance } from './queries.ts'
import { type Reading, readDocumentGently } from './reading/document.ts'

/** All that the catalog is made of, as one transaction saw it. Never changed after it was made. */
export type Snapshot = Published & {
  readonly registered: readonly ServiceRow[]
  readonly groups: readonly ScopeGroupRow[]
  readonly scopes: readonly ScopeRow[]
  readonly guidance: readonly Guidance[]
  /** What the document of each service says of where it is reached. */
  readonly servers: ReadonlyMap<string, readonly string[]>
}

export type Live = {
  /** Whatever was acknowledged before this was called is in it. */
  current(): Promise<Snapshot>
  /**
   * The same without waiting; null: not in memory. It counts only while this replica holds its lease (verify/lease.ts),
   * and must be asked again after anything was waited for.
   */
  peek(): Snapshot | null
  /** As this transaction sees it, what it has itself changed included. */
  within(trx: Trx): Promise<Snapshot>
  forget(): void
}

const mostReads = 3

/** @param admit throws when the connection leads to a former primary; see verify/replicas.ts */
export function createLive(db: Db, admit: (trx: Trx) => Promise<void>): Live {
  const parsed = new Map<string, Parsed>()
  let generation = 0
  let kept: Snapshot | null = null
  let loading: { readonly generation: number; readonly promise: Promise<Snapshot> } | null = null

  /** In one view of the database, so that no scope is missing which a route needs. */
  const readAll = () =>
    db
      .transaction()
      .setIsolationLevel('repeatable read')
      .execute(async (trx) => {
        await admit(trx)
        const snapshot = await snapshotOf(trx, parsed)
        for (const id of parsed.keys()) if (!snapshot.servers.has(id)) parsed.delete(id)
        return snapshot
      })

  async function load(): Promise<Snapshot> {
    for (let tries = 1; ; tries++) {
      const begun = generation
      const found = await readAll().catch((error: Error) => {
        if (tries === mostReads) throw error
        return null
      })
      if (found && begun === generation) kept = found
      if (found && (begun === generation || tries === mostReads)) return found
    }
  }

  return {
    async current() {
      if (kept) return kept
      // Who comes after a change must not be given what was read before it.
      if (loading?.generation !== generation) {
        const flight = { generation, promise: load() }
        loading = flight
        const over = () => {
          if (loading === flight) loading = null
        }
        flight.promise.then(over, over)
      }
      return loading!.promise
    },
    peek: () => kept,
    within: (trx) => snapshotOf(trx, parsed),
    forget() {
      generation += 1
      kept = null
    },
  }
}

type Parsed = { readonly digest: string; readonly reading: Reading }

async function snapshotOf(trx: Trx, parsed: Map<string, Parsed>): Promise<Snapshot> {
  const registered = await services(trx)
  const [groups, declared] = [await scopeGroups(trx), await scopes(trx)]
  const rows = await digests(trx)
  const readings = await readingsOf(trx, rows, parsed)
  return {
    services: rows.map((row): PublishedService => {
      const { endpoints, errors, version, servers } = readings.get(row.service_id)!
      const baseUrl = registered.find((one) => one.id === row.service_id)?.base_url ?? null
      const { digest, published_at: publishedAt } = row
      const bases = basesOf({ baseUrl, servers })
      return { id: row.service_id, bases, endpoints, errors, version, digest, publishedAt }
    }),
    ownHosts: ownHostsOf(registered.map((one) => one.base_url)),
    registered,
    groups,
    scopes: declared,
    guidance: await guidance(trx),
    servers: new Map([...readings].map(([id, reading]) => [id, reading.servers])),
  }
}

/** @param parsed what was read before, by service; gets what is new. Others use it at the same time. */
async function readingsOf(
  trx: Trx,
  rows: readonly { service_id: string; digest: string }[],
  parsed: Map<string, Parsed>,
): Promise<Map<string, Reading>> {
  const known = rows.filter((row) => parsed.get(row.service_id)?.digest === row.digest)
  const readings = new Map(known.map((row) => [row.service_id, parsed.get(row.service_id)!.reading]))
  const missing = rows.map((row) => row.service_id).filter((id) => !readings.has(id))
  if (missing.length === 0) return readings
  for (const { service_id: id, digest, document } of await documents(trx, missing)) {
    const reading = await readDocumentGently(id, JSON.parse(document))
    parsed.set(id, { digest, reading })
    readings.set(id, reading)
  }
  return readings
}
