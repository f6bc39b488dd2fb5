// What is promised, measured: `npm run bench` prints the table with n and spread, `-- --quick` within a minute,
// `-- --json` one object with the keys of the table, `-- --only introspect,misses` some of it. How: bench/README.md.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { catalogFigures } from './catalog.ts'
import { flood } from './flood.ts'
import { forwardAuthVsFastify } from './forward-auth.ts'
import { introspectVsFastify } from './introspection.ts'
import { addedP99Ms, type LatencyOptions } from './latency.ts'
import { pins, root } from './lib/child.ts'
import { type Generator, startGenerator } from './lib/generator.ts'
import type { PairOptions } from './lib/pairs.ts'
import { type Figure, notMeasured } from './lib/statistics.ts'
import { openWorld, remember, type World } from './lib/world.ts'
import { memory } from './memory.ts'
import { missesVsPg } from './misses.ts'
import { vsBetterAuth, vsOidcProvider } from './peers.ts'
import { provisionVsFastify } from './provisioning.ts'
import { revokeCutOff, revokeOn } from './revocation.ts'
import { warm1MSeconds } from './warming.ts'
import { workers2Vs1 } from './workers.ts'

type Goal = { readonly what: string; readonly goal: string }
const table: Record<string, Goal> = {
  introspectVsFastify: {
    what: 'introspection, random tokens, for a bare Fastify POST',
    goal: '≥ 0.90, aim 1.0',
  },
  forwardAuthVsFastify: { what: 'forward-auth for a bare Fastify GET', goal: '≥ 0.90, aim 1.0' },
  addedP99Ms: { what: 'p99 added at 60 % load, ms', goal: '≤ 1' },
  missesVsPg: { what: 'misses for the pg named point query, 64 at once', goal: '≥ 2.2' },
  bytesPerCachedToken: { what: 'RSS per remembered token, bytes', goal: '≤ 150' },
  fullGcMs: { what: 'full garbage collection, ms', goal: '≤ 20' },
  warm1MSeconds: { what: 'warming 1 M tokens from PostgreSQL, s', goal: '≤ 4' },
  vsOidcProvider: { what: 'against oidc-provider, in memory', goal: '≥ 6' },
  vsBetterAuth: { what: 'against better-auth API keys, PostgreSQL', goal: '≥ 40' },
  revokeP50Ms: { what: 'revoke acknowledged on 3 replicas, p50 ms', goal: '≤ 5' },
  revokeP99Ms: { what: 'the same, p99 ms', goal: '≤ 50' },
  revokeCutOffMs: { what: 'with one replica cut off, slowest ms', goal: '≤ 2300' },
  floodQueries: { what: 'queries for 10 k invalid tokens a second', goal: '0' },
  floodValidP99Ratio: { what: 'p99 of valid ones meanwhile, for p99 before', goal: '≤ 2' },
  workers2Vs1: { what: 'two workers for one', goal: 'reported' },
  forwardAuthCatalogVsFastify: {
    what: 'forward-auth, scopes from 5,000 routes, for a bare GET',
    goal: '≥ 0.85',
  },
  catalogMatchUs: { what: 'matching a request against 5,000 routes, µs', goal: 'reported' },
  catalogPublishMs: { what: 'publishing 5,000 routes, ms', goal: 'reported' },
  catalogRenderMs: { what: 'rendering their catalog, ms', goal: 'reported' },
  catalogKb: { what: 'its size, KiB', goal: 'reported' },
  catalogMb: { what: 'what it adds to a replica, MiB', goal: 'reported' },
  provisionVsFastify: { what: 'provisioning for a bare Fastify POST', goal: 'reported' },
}
type Figures = Record<string, Figure>
type Sizes = ReturnType<typeof sizes>

const { values: asked } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
  },
})
const wanted = asked.only === '' ? null : asked.only.split(',').map((name) => name.toLowerCase())
const wants = (...keys: string[]) =>
  wanted === null || keys.some((key) => wanted.some((name) => key.toLowerCase().includes(name)))

const quickMs = 50_000
const began = performance.now()
const say = (text: string) =>
  process.stderr.write(`${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s  ${text}\n`)
const figures = await measure(sizes(asked.quick))
if (asked.json) process.stdout.write(`${JSON.stringify(valuesOf(figures), null, 2)}\n`)
else print(figures)
process.exit(0)

/** Quick: small, few, and no more than says whether something is badly wrong. */
function sizes(quick: boolean): {
  quick: boolean
  tokens: number
  pairs: PairOptions
  /** For what takes milliseconds a request. */
  slowPairs: PairOptions
  latency: LatencyOptions
  slices: number
  sliceMs: number
  stores: number
  revokes: number
  cuts: number
  /** Of replicas, to be warmed. */
  starts: number
  growth: number[]
  replicas: number[]
} {
  return quick
    ? {
        quick,
        tokens: 50_000,
        pairs: { slices: 4, sliceMs: 500, warmRequests: 12_000 },
        slowPairs: { slices: 4, sliceMs: 500, warmRequests: 300 },
        latency: { slices: 1, discardMs: 200, sliceMs: 700 },
        slices: 2,
        sliceMs: 400,
        starts: 1,
        stores: 1,
        revokes: 40,
        cuts: 1,
        growth: [],
        replicas: [],
      }
    : {
        quick,
        tokens: 1_000_000,
        pairs: { slices: 9, sliceMs: 1_000, warmRequests: 60_000 },
        slowPairs: { slices: 9, sliceMs: 1_000, warmRequests: 3_000 },
        latency: { slices: 7, discardMs: 1_000, sliceMs: 2_000 },
        slices: 7,
        sliceMs: 1_000,
        starts: 5,
        stores: 3,
        revokes: 500,
        cuts: 6,
        growth: [1_000, 100_000],
        replicas: [1, 2, 4],
      }
}

type Put = (more: Figures) => void
type Measure = () => Promise<Figures>

async function measure(size: Sizes): Promise<Figures> {
  build()
  if (!pins) say('there are no two cores to pin to, or no taskset: ratios are noisier than they could be')
  const found: Figures = {}
  const put: Put = (more) => {
    for (const [key, figure] of Object.entries(more)) {
      if (!wants(key)) continue
      found[key] = figure
      say(`${key}: ${shown(figure)}`)
    }
  }
  /** One failed measurement must not take the others along; none is begun that a quick run has no time for. */
  const attempt = async (keys: readonly string[], run: Measure): Promise<void> => {
    if (!wants(...keys)) return
    const late = size.quick && performance.now() - began > quickMs
    const failed = (why: string) => Object.fromEntries(keys.map((key) => [key, notMeasured(why)]))
    put(
      late
        ? failed('no time left in a quick run')
        : await run().catch((error: Error) => failed(firstLine(error))),
    )
  }
  const world = await openWorld(size.tokens)
  say(
    `${size.tokens.toLocaleString('en')} tokens are in the database (${(world.loadedMs / 1000).toFixed(1)} s)`,
  )
  const generator = await startGenerator()
  try {
    await onWarmReplica(world, generator, size, attempt)
    await onFreshReplicas(world, generator, size, attempt)
    for (const tokens of size.growth) {
      const key = `introspectVsFastify ${tokens.toLocaleString('en')} tokens`
      await attempt([key], async () => ({ [key]: await growth(generator, size, tokens) }))
    }
  } finally {
    await generator.end()
    await world.close()
  }
  return found
}

/** What is measured is what `npm start` would run. */
function build(): void {
  if (process.env['LATCHKEY_BENCH_NO_BUILD'] && existsSync(`${root}dist/main.js`)) return
  execFileSync('npm', ['run', '-s', 'build'], { cwd: root, stdio: ['ignore', 2, 2] })
}

type Attempt = (keys: readonly string[], run: Measure) => Promise<void>

async function onWarmReplica(
  world: World,
  generator: Generator,
  size: Sizes,
  attempt: Attempt,
): Promise<void> {
  const keys = ['introspectVsFastify', 'forwardAuthVsFastify', 'addedP99Ms', 'vsOidcProvider', 'vsBetterAuth']
  if (!wants(...keys)) return
  const replica = await world.replica()
  try {
    const pairs = [generator, world, replica, world.tokens, size.pairs] as const
    const peers = (tokens: number) => [generator, world, replica, tokens, size.slowPairs] as const
    const all = `${world.tokens.toLocaleString('en')} tokens`
    await attempt(['introspectVsFastify'], async () => ({
      introspectVsFastify: await introspectVsFastify(...pairs),
    }))
    await attempt(['forwardAuthVsFastify'], async () => ({
      forwardAuthVsFastify: await forwardAuthVsFastify(...pairs),
    }))
    for (const [variation, tokens] of [
      ['', 1],
      [` ${all}`, world.tokens],
    ] as const) {
      const [oidcProvider, betterAuth] = [`vsOidcProvider${variation}`, `vsBetterAuth${variation}`]
      await attempt([oidcProvider], async () => ({ [oidcProvider]: await vsOidcProvider(...peers(tokens)) }))
      await attempt([betterAuth], async () => ({ [betterAuth]: await vsBetterAuth(...peers(tokens)) }))
    }
    await attempt(['addedP99Ms'], async () => ({
      addedP99Ms: await addedP99Ms(generator, world, replica, world.tokens, size.latency),
    }))
  } finally {
    await replica.stop()
  }
}

async function onFreshReplicas(
  world: World,
  generator: Generator,
  size: Sizes,
  attempt: Attempt,
): Promise<void> {
  const { slices, sliceMs } = size
  await attempt(['warm1MSeconds'], async () => ({ warm1MSeconds: await warm1MSeconds(world, size.starts) }))
  const ofCatalog = Object.keys(table).filter((key) => /catalog/i.test(key))
  await attempt(ofCatalog, () => catalogFigures(generator, world, size.pairs))
  await attempt(['missesVsPg'], async () => ({ missesVsPg: await missesVsPg(world, slices, sliceMs) }))
  await attempt(['floodQueries', 'floodValidP99Ratio'], () => flood(generator, world, slices, 2 * sliceMs))
  await attempt(['revokeP50Ms', 'revokeP99Ms'], async () => {
    const { p50, p99 } = await revokeOn(world, 3, size.revokes)
    return { revokeP50Ms: p50, revokeP99Ms: p99 }
  })
  await attempt(['revokeCutOffMs'], async () => ({ revokeCutOffMs: await revokeCutOff(world, size.cuts) }))
  await attempt(['bytesPerCachedToken', 'fullGcMs'], () => memory(size.tokens, size.stores))
  await attempt(['workers2Vs1'], async () => ({
    workers2Vs1: await workers2Vs1(generator, world, slices, sliceMs),
  }))
  await attempt(['provisionVsFastify'], async () => {
    const replica = await world.replica()
    const figure = await provisionVsFastify(generator, world, replica, size.slowPairs)
    await replica.stop()
    return { provisionVsFastify: figure }
  })
  for (const count of size.replicas) {
    const keys = [`revokeP50Ms ${count} replicas`, `revokeP99Ms ${count} replicas`] as const
    await attempt(keys, async () => {
      const { p50, p99 } = await revokeOn(world, count, size.revokes)
      return { [keys[0]]: p50, [keys[1]]: p99 }
    })
  }
}

/** The same with fewer tokens remembered: what size costs. */
async function growth(generator: Generator, size: Sizes, tokens: number): Promise<Figure> {
  const small = await openWorld(tokens)
  const replica = await small.replica()
  try {
    await remember(replica, small, tokens)
    return await introspectVsFastify(generator, small, replica, tokens, size.pairs)
  } finally {
    await replica.stop()
    await small.close()
  }
}

function firstLine(error: Error): string {
  return `failed: ${error.message.split('\n', 2).join(' ').slice(0, 200)}`
}

function valuesOf(found: Figures): Record<string, number | null> {
  return Object.fromEntries(Object.entries(found).map(([key, { value }]) => [key, value]))
}

function print(found: Figures): void {
  const { node } = process.versions
  console.log(
    `\nLatchkey, ${asked.quick ? 'quick' : 'full'} run, Node ${node}, ${new Date().toISOString().slice(0, 10)}\n`,
  )
  console.log('| what | key | goal | measured |\n|---|---|---|---|')
  for (const [key, figure] of Object.entries(found)) {
    const [name = '', ...variation] = key.split(' ')
    const { what, goal } = table[name] ?? { what: '', goal: '' }
    const detail = variation.length > 0 ? `${what} (${variation.join(' ')})` : what
    console.log(`| ${detail} | \`${name}\` | ${goal} | ${shown(figure)} |`)
  }
}

function shown({ value, spread, n, control, note }: Figure): string {
  if (value === null) return `n/a: ${note}`
  const more = [
    ...(n === undefined ? [] : [`n ${n}`]),
    ...(spread === undefined ? [] : [`${rounded(spread[0])} to ${rounded(spread[1])}`]),
    ...(control === undefined ? [] : [`A/A ${rounded(control)}`]),
    ...(note === undefined ? [] : [note]),
  ]
  return `**${rounded(value)}**${more.length > 0 ? ` (${more.join('; ')})` : ''}`
}

function rounded(value: number): string {
  return Number.isInteger(value) || Math.abs(value) >= 1_000 ? value.toFixed(0) : value.toPrecision(3)
}
