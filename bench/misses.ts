// missesVsPg: tokens that are not in memory, 64 at once, against the same question asked with pg alone: one named
// query for each token, on a pool of four. Slices alternate in one process; each token is asked for once a slice.
import pg from 'pg'
import { openPostgres } from '../src/db/postgres.ts'
import { openKeyRing } from '../src/token/key-ring.ts'
import { createFence } from '../src/verify/fence.ts'
import { createFlights } from '../src/verify/flights.ts'
import { createLookup } from '../src/verify/lookup.ts'
import { secretOf } from './lib/population.ts'
import { type Figure, median, ratioOf } from './lib/statistics.ts'
import type { World } from './lib/world.ts'

const inFlight = 64

/** What a lookup asks, for one digest. */
const pointQuery = `
  select s.digest, s.ends_at, t.id, t.type, t.subject, t.team, t.audience, t.ip_ranges, t.created_at, t.expire_at,
    t.revoked_at, t.disabled_at, o.disabled_at as subject_disabled_at,
    array(select distinct reached from scope c, unnest(c.closure) reached
      where c.name = any(t.scopes) and (o.scope_cap is null or reached in
        (select capped from scope k, unnest(k.closure) capped where k.name = any(o.scope_cap)))
      order by reached) as scopes
  from token_secret s join token t on t.id = s.token_id join subject o on o.id = t.subject
  where s.digest = $1`

export async function missesVsPg(world: World, slices: number, sliceMs: number): Promise<Figure> {
  const store = await openPostgres(world.databaseUrl)
  const pool = new pg.Pool({ connectionString: world.databaseUrl, max: 4 })
  try {
    const ring = await openKeyRing(store.db, { current: world.secret, previous: null }, new Date())
    const digests = Array.from({ length: Math.min(world.tokens, 100_000) }, (_, i) =>
      ring.digest(secretOf(i)),
    )
    const lookup = createLookup(store.read, () => null)
    const flights = createFlights(lookup, createFence(), () => performance.now(), new Set())
    const miss = async (digest: Buffer) => (await flights.read(digest.toString('latin1'), [digest]))?.tokenId
    const point = async (digest: Buffer) =>
      (await pool.query<{ id: string }>({ name: 'point', text: pointQuery, values: [digest] })).rows[0]?.id
    for (const way of [miss, point, miss, point]) await perSecond(way, digests, sliceMs)
    const rates: [number, number, number][] = []
    for (let slice = 0; slice < slices; slice++) {
      const ours = await perSecond(miss, digests, sliceMs)
      const theirs = await perSecond(point, digests, sliceMs)
      rates.push([ours, theirs, await perSecond(point, digests, sliceMs)])
    }
    const ratios = rates.map(([ours, first, second]) => (ours * 2) / (first + second))
    const control = median(rates.map(([, first, second]) => second / first))
    const middle = Math.round(median(rates.map(([ours]) => ours)))
    return ratioOf(ratios, control, `${middle} misses a second, all with their scopes`)
  } finally {
    await Promise.all([pool.end(), store.close()])
  }
}

async function perSecond(
  ask: (digest: Buffer) => Promise<string | undefined>,
  digests: readonly Buffer[],
  ms: number,
): Promise<number> {
  let at = Math.floor(Math.random() * digests.length)
  let done = 0
  const start = performance.now()
  const until = start + ms
  const worker = async () => {
    while (performance.now() < until) {
      at = (at + 1) % digests.length
      if ((await ask(digests[at]!)) === undefined)
        throw new Error('A token that should be there was not found')
      done += 1
    }
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  return (done * 1000) / (performance.now() - start)
}
