// revokeP50Ms, revokeP99Ms: from asking one of three replicas to revoke to its acknowledgement, which means that it is
// effective on all. Then with one of them cut off: its listening session hangs, so its lease has to run out. Every
// acknowledged revoke is tried at once on every replica that can still be reached.
import { setTimeout as wait } from 'node:timers/promises'
import { blackhole, pass, startProxy } from '../test/faults/proxy.ts'
import { type Figure, percentile } from './lib/statistics.ts'
import { active, call, type Replica, type World } from './lib/world.ts'

/** Longer than a lease: before that, a replica cannot know whom it has not heard. */
const settledMs = 3_000
/** Revokes that a replica has to make until the hot part of its code is compiled: half as slow again before. */
const compiledAfter = 200
const proxyAt = /listen latchkey/i

/** @returns milliseconds of each revoke */
export async function revoke(world: World, replicas: readonly Replica[], times: number): Promise<number[]> {
  const took: number[] = []
  for (let i = 0; i < times; i++) {
    const { id, token } = await provision(world, replicas[0]!)
    await Promise.all(replicas.map((replica) => active(world, replica, token)))
    const start = performance.now()
    await call(replicas[i % replicas.length]!.url, world.admin, 'DELETE', `/api/v1/tokens/${id}`)
    took.push(performance.now() - start)
    const answers = await Promise.all(replicas.map((replica) => active(world, replica, token)))
    if (answers.includes(true)) throw new Error('A revoked token was active after the acknowledgement')
  }
  return took
}

export async function startReplicas(world: World, count: number): Promise<Replica[]> {
  const replicas = await Promise.all(Array.from({ length: count }, () => world.replica({ pinned: false })))
  await wait(settledMs)
  return replicas
}

export async function revokeOn(
  world: World,
  count: number,
  times: number,
): Promise<{ p50: Figure; p99: Figure }> {
  const replicas = await startReplicas(world, count)
  try {
    const early = await revoke(world, replicas, count * Math.min(times, compiledAfter))
    const took = await revoke(world, replicas, times)
    const figure = (part: number): Figure => ({
      value: percentile(took, part),
      spread: [Math.min(...took), Math.max(...took)],
      n: times,
      note: `${count} replica${count === 1 ? '' : 's'}; ${percentile(early, part).toFixed(1)} for the first ${early.length} after their start`,
    })
    return { p50: figure(0.5), p99: figure(0.99) }
  } finally {
    await Promise.all(replicas.map((replica) => replica.stop()))
  }
}

/** The slowest of some revokes, each the first after the cut; healed in between. */
export async function revokeCutOff(world: World, times: number): Promise<Figure> {
  const upstream = new URL(world.databaseUrl)
  const listening = new Set<number>()
  const proxy = await startProxy({
    host: upstream.hostname,
    port: Number(upstream.port),
    onClientData: ({ id }, bytes) => {
      if (proxyAt.test(bytes.toString('latin1'))) listening.add(id)
    },
  })
  const cutOff = ({ id }: { id: number }) => listening.has(id)
  const well = await startReplicas(world, 2)
  const ill = await world.replica({ pinned: false, env: { DATABASE_URL: proxy.through(world.databaseUrl) } })
  try {
    const took: number[] = []
    for (let i = 0; i < times; i++) {
      await wait(settledMs)
      const { id, token } = await provision(world, well[0]!)
      await Promise.all([...well, ill].map((replica) => active(world, replica, token)))
      await proxy.mode(blackhole, cutOff)
      const start = performance.now()
      await call(well[i % 2]!.url, world.admin, 'DELETE', `/api/v1/tokens/${id}`)
      took.push(performance.now() - start)
      const answers = await Promise.all([...well, ill].map((replica) => active(world, replica, token)))
      if (answers.includes(true)) throw new Error('A revoked token was active after the acknowledgement')
      await proxy.mode(pass)
    }
    return {
      value: Math.max(...took),
      spread: [Math.min(...took), Math.max(...took)],
      n: times,
      note: 'slowest; 3 replicas, the listening session of one hangs',
    }
  } finally {
    await Promise.all([...well, ill].map((replica) => replica.stop()))
    await proxy.stop()
  }
}

async function provision({ admin }: World, { url }: Replica): Promise<{ id: string; token: string }> {
  const body = { name: 'to be revoked', subject: 'user_42', scopes: ['posts:read'] }
  return (await call(url, admin, 'POST', '/api/v1/tokens', body)) as { id: string; token: string }
}
