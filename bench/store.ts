// What the store of facts costs: bytes per token, lookups, writes, full collections and the longest pause, at three
// sizes, each in a process of its own (memory given back to the allocator would blur the next one).
// Run: npx tsx --expose-gc bench/store.ts [size…]; memory.ts asks for one size, as JSON.

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Facts } from '../src/policy/facts.ts'

import { createDigester } from '../src/token/digest.ts'
import { createFactStore, type FactStore, type Key } from '../src/verify/memory/store.ts'

const TOKENS_PER_SUBJECT = 2.5
const LOOKUPS = 200_000
const DAY = 86_400_000
const scratch = new Int32Array(8)
const filling = new Int32Array(8)
const digester = createDigester(Buffer.alloc(32, 7))

// Realistic shapes: 400 scope sets, 6 audiences, 2,000 teams, one token in 50 with a network of its team,
// subjects of 30 characters, one token in 50 rotated out and in its grace period.
const resources = [
  'posts',
  'places',
  'artifacts',
  'workspaces',
  'billing',
  'payouts',
  'transfers',
  'webhooks',
]
const allScopes = resources.flatMap((name) => [`${name}:manage`, `${name}:read`, `${name}:write`])
const scopeSets = Array.from({ length: 400 }, (_, i) =>
  allScopes.filter((_, at) => mix(i * 31 + at) % 5 === 0),
)
const audiences = [[], [], ['posts'], ['billing'], ['posts', 'places'], ['workspaces']]
const digits = '0123456789abcdefghjkmnpqrstvwxyz'

if (process.argv[2] === '--one') measure(Number(process.argv[3]))
else if (process.argv[2] === '--json') console.log(JSON.stringify(weigh(Number(process.argv[3]))))
else compare(process.argv.length > 2 ? process.argv.slice(2) : ['1000', '100000', '1000000'])

function compare(sizes: string[]): void {
  for (const size of sizes) {
    const args = [...process.execArgv, '--expose-gc', fileURLToPath(import.meta.url), '--one', size]
    execFileSync(process.execPath, args, { stdio: 'inherit' })
  }
}

function measure(size: number): void {
  rehearse()
  const some = Array.from({ length: Math.min(LOOKUPS, size * 20) }, (_, i) => key(mix(i) % size))
  const before = settled()
  const store = createFactStore({ capacity: size })
  const filled = fill(store, 0, size)
  const after = settled()
  const rows: [string, string][] = [
    ['RSS, bytes per token', ((after.rss - before.rss) / size).toFixed(1)],
    ['typed arrays + heap, bytes per token', ((after.held - before.held) / size).toFixed(1)],
    ['store.bytes per token', (store.bytes / size).toFixed(1)],
    ['distinct grants, origins', Object.values(store.shared).join(', ')],
    ['set, ns', filled.each.toFixed(0)],
    ['longest set, ms', filled.longest.toFixed(1)],
    ['full collection, ms (empty process)', `${after.gc.toFixed(1)} (${before.gc.toFixed(1)})`],
    ['control: the same in a Map of keys, ns', inMap(size, some)],
    ['control: reading the words of a key, ns', each(some, (one) => words(one))],
    ['control: one random read of 64 bytes each, ns', oneRead(size, some)],
    ['find, ns', each(some, (one) => store.find(one))],
    ['find + read, ns', each(some, (one) => store.read(store.find(one)).createdAt)],
    ['find of an unknown key, ns', missing(store, size, some.length)],
    ['keyOf(secret), ns', each(secrets(some.length), (one) => keyOf(one)[0]!)],
    ['deleteSubject, ms', timed(() => store.deleteSubject(facts(size >>> 1).subject)).toFixed(2)],
    ['deleteSubject of a stranger, ms', timed(() => store.deleteSubject('stranger')).toFixed(3)],
  ]
  fill(store, size, size + 100) // room left by the two above
  const evicting = fill(store, size + 100, size + 100 + Math.min(size, 200_000))
  rows.push(['set with eviction, ns', evicting.each.toFixed(0)])
  rows.push(['longest set with eviction, ms', evicting.longest.toFixed(1)])
  rows.push(['delete, ns', each(some, (one) => Number(store.delete(one)), 1)])
  rows.push(['clear, ms', timed(() => store.clear()).toFixed(2)])
  console.log(`\n${size.toLocaleString('en')} tokens`)
  for (const [what, value] of rows) console.log(`  ${what.padEnd(46)} ${value}`)
}

/** Only what memory costs: bytes of RSS a token, and milliseconds of a full collection. */
function weigh(size: number): { bytes: number; gc: number } {
  rehearse()
  const before = settled()
  const store = createFactStore({ capacity: size })
  fill(store, 0, size)
  const after = settled()
  if (store.size !== size) throw new Error('Some token was forgotten')
  return { bytes: (after.rss - before.rss) / size, gc: after.gc }
}

/** Compiles what will be measured, and lets the young generation grow, so that neither's time nor memory is counted. */
function rehearse(): void {
  const store = createFactStore({ capacity: 20_000 })
  fill(store, -300_000, 30_000)
  for (let i = 0; i < 30_000; i++) if (store.find(key(i)) >= 0) store.read(store.find(key(i)))
  for (let i = 0; i < 30_000; i++) store.delete(key(i))
}

function fill(store: FactStore, from: number, to: number): { each: number; longest: number } {
  let spent = 0
  let longest = 0
  for (let i = from; i < to; i++) {
    // As the service does: an array for each would leave holes in the memory that is being weighed.
    digester.into(secret(i), filling)
    const known = facts(i)
    const start = performance.now()
    store.set(filling, known)
    const took = performance.now() - start
    spent += took
    if (took > longest) longest = took
  }
  return { each: (spent * 1e6) / (to - from), longest }
}

function inMap(size: number, some: readonly Key[]): string {
  const map = new Map<Key, number>(some.map((one, i) => [one, i]))
  for (let i = map.size; i < size; i++) map.set(key(i), i)
  return each(some, (one) => map.get(one)!)
}

/** The floor: as much memory as the records take, one read for each key, each waiting for the one before. */
function oneRead(size: number, some: readonly Key[]): string {
  const memory = new Int32Array(size * 16)
  for (let i = 0; i < memory.length; i++) memory[i] = i
  let last = 0
  return each(some, (one) => {
    scratch.set(one)
    last = memory[((((scratch[0]! ^ last) >>> 0) * (size / 2 ** 32)) >>> 0) << 4]! & 1
    return last
  })
}

function words(one: Key): number {
  scratch.set(one)
  return scratch[0]!
}

function missing(store: FactStore, size: number, count: number): string {
  return each(
    Array.from({ length: count }, (_, i) => key(2 * size + i)),
    (one) => store.find(one),
  )
}

/** The quietest of some rounds (what others do on the machine only ever adds), in nanoseconds for one. */
function each<Input>(inputs: readonly Input[], run: (input: Input) => number, rounds = 7): string {
  const times: number[] = []
  let sum = 0
  for (let round = 0; round < rounds; round++) {
    times.push(
      timed(() => {
        for (const input of inputs) sum += run(input)
      }),
    )
  }
  if (Number.isNaN(sum)) throw new Error('the work must not be optimised away')
  return ((Math.min(...times) * 1e6) / inputs.length).toFixed(0)
}

function timed(run: () => unknown): number {
  const start = performance.now()
  run()
  return performance.now() - start
}

function settled(): { rss: number; held: number; gc: number } {
  const collect = globalThis.gc
  if (!collect) throw new Error('run with --expose-gc')
  const times = [0, 1, 2, 3, 4].map(() => timed(() => collect()))
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss, held: heapUsed + external, gc: Math.min(...times) }
}

function secrets(count: number): string[] {
  return Array.from({ length: count }, (_, i) => secret(i))
}

function secret(i: number): string {
  return `lk_pat_${String(mix(i)).padStart(30, 'x')}${String(i).padStart(6, '0')}`
}

function keyOf(secret: string): Key {
  const words = new Int32Array(8)
  digester.into(secret, words)
  return words
}

function key(i: number): Key {
  return keyOf(secret(i))
}

function facts(i: number): Facts {
  const team = mix(i + 3) % 2000
  const createdAt = 1_780_000_000_000 + i
  return {
    tokenId: `tok_01k${letters(i, 5, 12)}${letters(i, 17, 11)}`,
    type: i % 3 === 0 ? 'service' : 'personal',
    subject: `sub_${letters(Math.floor(i / TOKENS_PER_SUBJECT), 29, 26)}`,
    team: i % 4 === 0 ? null : `team_${team}`,
    audience: audiences[mix(i + 1) % audiences.length]!,
    scopes: scopeSets[mix(i + 2) % scopeSets.length]!,
    ranges: i % 50 === 0 ? [`10.${team % 256}.0.0/16`] : [],
    createdAt,
    expireAt: i % 5 === 0 ? null : createdAt + 90 * DAY,
    endsAt: i % 50 === 1 ? createdAt + DAY : null,
    endsVersion: null,
    state: 'active',
  }
}

function letters(i: number, salt: number, length: number): string {
  let text = ''
  for (let at = 0; at < length; at += 6) {
    for (
      let bits = mix(i ^ (salt * 0x9e37 + at * 0x3779b9)), end = Math.min(length, at + 6);
      text.length < end;
    ) {
      text += digits[bits & 31]!
      bits >>>= 5
    }
  }
  return text
}

function mix(i: number): number {
  let x = Math.imul(i ^ (i >>> 16), 0x45d9f3b)
  x = Math.imul(x ^ (x >>> 16), 0x45d9f3b)
  return (x ^ (x >>> 16)) >>> 0
}
