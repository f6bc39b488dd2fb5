// What a catalog of 5,000 routes costs: publishing and rendering it, its size and memory, matching a request against
// it, and forward-auth that finds its scopes in it, for one request of a bare Fastify GET.
import { performance } from 'node:perf_hooks'
import { createMatch } from '../src/catalog/match.ts'
import { readDocument } from '../src/catalog/reading/document.ts'
import { startBare } from './introspection.ts'
import type { Generator } from './lib/generator.ts'
import { compare, type PairOptions } from './lib/pairs.ts'
import { scopes } from './lib/population.ts'
import { manyRoutes, pathThatNeeds } from './lib/routes.ts'
import { type Figure, median } from './lib/statistics.ts'
import { call, type Replica, remember, type World } from './lib/world.ts'

const count = 5_000
const fewTokens = 20_000

export async function catalogFigures(
  generator: Generator,
  world: World,
  options: PairOptions,
): Promise<Record<string, Figure>> {
  const replica = await world.replica({ env: { LATCHKEY_TRUSTED_PROXIES: '127.0.0.1' } })
  try {
    const { rss: before } = await replica.child.cost()
    const publish = await timed(() =>
      call(replica.url, world.admin, 'PUT', '/api/v1/services/posts/openapi', manyRoutes(count, scopes)),
    )
    const first = await timed(() => read(replica, ''))
    const again = await timed(() => read(replica, ''))
    const summary = await read(replica, '?view=summary')
    const tokens = Math.min(world.tokens, fewTokens)
    await remember(replica, world, tokens)
    const { rss: after } = await replica.child.cost()
    const forward = await forwardAuth(generator, replica, tokens, options)
    return {
      catalogPublishMs: { value: publish.ms, n: 1, note: `${count} routes in one document` },
      catalogRenderMs: {
        value: first.ms,
        n: 1,
        note: `the first after it was published; the next ${again.ms.toFixed(1)} ms`,
      },
      catalogKb: { value: first.value / 1024, n: 1, note: `${(summary / 1024).toFixed(0)} as a summary` },
      catalogMb: { value: (after - before) / 2 ** 20, n: 1, note: `RSS, ${tokens} tokens included` },
      catalogMatchUs: matching(),
      forwardAuthCatalogVsFastify: forward,
    }
  } finally {
    await replica.stop()
  }
}

async function read({ url }: Replica, query: string): Promise<number> {
  return (await (await fetch(`${url}/api/programmatic/catalog${query}`)).arrayBuffer()).byteLength
}

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; value: T }> {
  const start = performance.now()
  const value = await work()
  return { ms: performance.now() - start, value }
}

/** In this process, random routes; the first call makes the router. */
function matching(): Figure {
  const { endpoints } = readDocument('posts', manyRoutes(count, scopes) as never)
  const service = { id: 'posts', bases: [{ host: null, path: '' }], endpoints }
  const match = createMatch({ services: [service as never], ownHosts: new Set() })
  const wanted = Array.from({ length: 10_000 }, () => {
    const { method, path } = endpoints[Math.floor(Math.random() * endpoints.length)]!
    return { method, host: 'api.example.com', path: path.replace('{id}', '42'), service: null }
  })
  const start = performance.now()
  match(wanted[0]!)
  const made = performance.now() - start
  const rounds = Array.from({ length: 15 }, () => {
    const begun = performance.now()
    for (const one of wanted) if (match(one) === null) throw new Error(`${one.path} matches nothing`)
    return ((performance.now() - begun) * 1000) / wanted.length
  })
  return {
    value: median(rounds),
    spread: [Math.min(...rounds), Math.max(...rounds)],
    n: rounds.length,
    note: `making the router: ${made.toFixed(0)} ms, once for each document`,
  }
}

async function forwardAuth(
  generator: Generator,
  replica: Replica,
  tokens: number,
  options: PairOptions,
): Promise<Figure> {
  const bases = await Promise.all([startBare(), startBare()])
  const target = (port: number) => ({
    port,
    method: 'GET' as const,
    path: '/forward-auth',
    headers: [
      'Authorization: Bearer {secret}',
      'X-Forwarded-Method: GET',
      `X-Forwarded-Uri: ${pathThatNeeds('posts:read', scopes)}`,
      'X-Forwarded-Host: api.example.com',
      'X-Forwarded-For: 198.51.100.7',
    ],
    tokens: { kind: 'known' as const, of: tokens, sample: tokens * 4 },
    connections: 32,
    expect: '200',
  })
  try {
    const [base, baseAgain] = bases.map(({ child, port }) => ({ child, target: target(port) }))
    const variant = { child: replica.child, target: target(replica.port) }
    return await compare(generator, { variant, base: base!, baseAgain: baseAgain! }, options)
  } finally {
    await Promise.all(bases.map(({ child }) => child.stop()))
  }
}
