// What one introspection costs, part by part, in this process: where to look before tuning, and whether it helped.
// Each part is timed on random tokens out of N in memory; the quietest of some rounds counts.
// Run: npx tsx bench/profile.ts [tokens, 200000 by default]. For the whole server under load: bench/README.md.
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import type { Db } from '../src/db/tables.ts'
import { readAuthorization } from '../src/guard/authorization.ts'
import { requestIds } from '../src/http/request-id.ts'
import { createCredentials, hashClientSecret, newClientSecret } from '../src/identity/credentials.ts'
import { introspectionAnswer } from '../src/introspection/answers.ts'
import { readForm, required } from '../src/introspection/form.ts'
import { createMetrics } from '../src/observe/metrics.ts'
import type { Facts } from '../src/policy/facts.ts'
import { judge } from '../src/policy/judge.ts'
import { createDigester } from '../src/token/digest.ts'
import { secretShape } from '../src/token/format.ts'
import { createUsage } from '../src/token/usage.ts'
import { soleLease } from '../src/verify/lease.ts'
import { createFactStore } from '../src/verify/memory/store.ts'
import { createVerify } from '../src/verify/verify.ts'
import { factsOf, secretOf } from './lib/population.ts'

const tokens = Number(process.argv[2] ?? 200_000)
const calls = 100_000
const rounds = 7
const issuer = 'http://localhost:8080'
const asker = { kind: 'service', id: 'posts', checksIp: false } as const
const question = { asker, clientIp: null, requiredScopes: [], team: null }
const now = Date.now()

const digester = createDigester(Buffer.alloc(32, 7))
const words = new Int32Array(8)
const store = createFactStore({ capacity: tokens })
for (let i = 0; i < tokens; i++) {
  digester.into(secretOf(i), words)
  store.set(words, factsOf(i))
}
const secrets = Array.from({ length: calls }, () => secretOf(Math.floor(Math.random() * tokens)))
const keys = secrets.map((secret) => {
  digester.into(secret, words)
  return words.slice()
})
const slots = keys.map((key) => store.find(key))
const known: Facts[] = slots.map((slot) => store.read(slot))
const bodies = secrets.map((secret) => `token=${secret}`)

const shape = secretShape(['lk'])
const usage = createUsage(undefined as never, store, Date.now)
const metrics = createMetrics('bench')
const clientSecret = newClientSecret()
const credentials = createCredentials({
  db: await storeWith(clientSecret),
  admit: async () => {},
  lease: soleLease,
  key: Buffer.alloc(32, 1),
})
const newRequestId = requestIds(now)
const basic = `Basic ${Buffer.from(`posts:${clientSecret}`).toString('base64')}`
const facts = {
  slotOf: (secret: string) => {
    digester.into(secret, words)
    return store.find(words)
  },
  at: store.read,
  read: () => null,
}
const verify = createVerify({ facts, note: usage.note, noteFirstUse: () => {}, now: Date.now })
const bare = createVerify({ facts, note: () => {}, noteFirstUse: () => {}, now: Date.now })

const headers = { 'x-request-id': undefined }
const parts: [string, (i: number) => unknown][] = [
  ['form: readForm + required', (i) => required(readForm(bodies[i]!), 'token')],
  ['caller: readAuthorization (Basic)', () => readAuthorization(basic)],
  ['shape: pattern and checksum', (i) => shape(secrets[i]!)],
  ['digest: HMAC into words', (i) => digester.into(secrets[i]!, words)],
  ['memory: find', (i) => store.find(keys[i]!)],
  ['memory: find + read', (i) => store.read(store.find(keys[i]!))],
  ['policy: judge', (i) => judge(known[i]!, question, now)],
  ['usage: note', (i) => usage.note({ active: true, facts: known[i]! }, question, now, undefined, slots[i]!)],
  ['verify without usage (digest … judge)', (i) => bare(secrets[i]!, question)],
  ['verify (digest … note)', (i) => verify(secrets[i]!, question)],
  [
    'answer: introspectionAnswer',
    (i) => introspectionAnswer({ active: true, facts: known[i]! }, asker, issuer),
  ],
  ['metrics: observe', () => metrics.observe('POST', '/oauth2/introspect', 200, 0.0004)],
  ['request id', () => newRequestId({ headers } as never)],
]

console.log(
  `${tokens.toLocaleString('en')} tokens in memory; ns per call, best of ${rounds} × ${calls.toLocaleString('en')}`,
)
for (const [name, run] of parts) console.log(`  ${name.padEnd(42)} ${best(run).toFixed(0).padStart(6)}`)
console.log(
  `  ${'caller: credentials.check (remembered)'.padEnd(42)} ${(await checked()).toFixed(0).padStart(6)}`,
)
process.exit(0)

function best(run: (i: number) => unknown): number {
  let least = Number.POSITIVE_INFINITY
  let kept: unknown
  for (let round = 0; round < rounds; round++) {
    const start = performance.now()
    for (let i = 0; i < calls; i++) kept = run(i)
    least = Math.min(least, performance.now() - start)
  }
  if (kept === basic) throw new Error('the work must not be optimised away')
  return (least * 1e6) / calls
}

async function checked(): Promise<number> {
  await credentials.check('posts', clientSecret)
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < rounds; round++) {
    const start = performance.now()
    for (let i = 0; i < calls; i++) await credentials.check('posts', clientSecret)
    least = Math.min(least, performance.now() - start)
  }
  return (least * 1e6) / calls
}

/** A database that knows one secret, and nothing else. */
async function storeWith(secret: string): Promise<Db> {
  const rows = [{ phc: await hashClientSecret(secret), checksIp: false }]
  const connection = { executeQuery: async () => ({ rows }) }
  class Driver extends DummyDriver {
    override acquireConnection = async () => connection as never
  }
  return new Kysely({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new Driver(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
}
