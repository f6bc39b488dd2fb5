// `latchkey apply` of any file after any other: what it says comes about, once, and nothing else changes.
import { createClient } from '@latchkey/sdk/client'
import fc from 'fast-check'
import t from 'tap'
import { carryOut, isOpen } from '../../../src/cli/apply/plan.ts'
import type { Wanted } from '../../../src/cli/apply/wanted.ts'
import { type File, stepsFor } from '../../helpers/apply.ts'
import { startLatchkey } from '../../helpers/latchkey.ts'

t.test('any file after any other', async (t) => {
  const latchkey = await startLatchkey(t, 'pglite')
  latchkey.clock.now = Date.now()
  const place = { url: latchkey.url, token: latchkey.admin, folder: t.testdir({}) }

  const client = createClient(place)

  async function apply(file: Wanted, prune: boolean): Promise<void> {
    const { failure } = await carryOut(await stepsFor(file, { ...place, prune }))
    if (failure !== undefined) throw failure
    const left = (await stepsFor(file, { ...place, prune })).filter(isOpen)
    if (left.length > 0) throw new Error(`Not the same again: ${JSON.stringify(left)}`)
  }

  /** Of all that there is, what the file does not speak of. */
  async function besides(file: File): Promise<unknown> {
    const read = async (path: string) => {
      const all: File[] = []
      for await (const { body } of client.pages<File[]>(path)) all.push(...body)
      return all.map(({ lastUsedAt: _ours, ...one }) => one)
    }
    const isNamed = (list: File[], key: string) => (one: File) =>
      !list.some((named) => named[key] === one[key])
    return {
      services: (await read('/api/v1/services')).filter(isNamed(file.services, 'id')),
      policies: (await read('/api/v1/trust-policies')).filter(isNamed(file.trustPolicies, 'name')),
      tokens: (await read('/api/v1/tokens')).filter(isNamed(file.tokens, 'name')),
    }
  }

  await fc.assert(
    fc.asyncProperty(files, files, fc.boolean(), async (first, second, prune) => {
      await apply(first, false)
      const before = await besides(second)
      await apply(second, prune)
      if (!prune) t.same(await besides(second), before)
    }),
    { numRuns: 20 },
  )
})

const allScopes = ['a', 'b', 'c'].flatMap((id) =>
  ['read', 'write', 'send'].map((action) => `${id}:${action}`),
)
const some = fc.uniqueArray(fc.constantFrom(...allScopes), { minLength: 1, maxLength: 4 })
const maybe = <T>(...values: T[]) => fc.option(fc.constantFrom(...values), { nil: undefined })

const service = fc.record({
  id: fc.constantFrom('a', 'b', 'c'),
  name: fc.constantFrom('One', 'Another'),
  checksIp: maybe(true, false),
  groups: fc.constant([{ id: 'all', title: 'All' }]),
  scopes: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom(...allScopes),
      title: fc.constantFrom('Do it', 'Do that'),
      group: fc.constant('all'),
      risk: maybe('low', 'high'),
    }),
    { selector: ({ name }) => name },
  ),
  presets: fc.uniqueArray(
    fc.record({ id: fc.constantFrom('p', 'q'), title: fc.constant('P'), scopes: some }),
    { selector: ({ id }) => id },
  ),
})
const policy = fc.record({
  name: fc.constantFrom('one', 'two'),
  issuer: fc.constant('https://token.actions.githubusercontent.com'),
  audience: fc.constant('https://tokens.example.com'),
  conditions: fc.constantFrom(
    { repository_id: '1', repository_owner_id: '2' },
    { repository_id: '1', repository_owner_id: '2', event_name: 'push' },
  ),
  scopes: some,
  maxLifetimeMinutes: maybe(5, 15),
  ipRestriction: maybe('10.0.0.1/8', null),
})
const token = fc.record({
  name: fc.constantFrom('one', 'two', 'three'),
  subject: fc.constant('subject'),
  scopes: some,
  description: maybe('said', null),
  team: maybe('team_a', 'team_b', null),
  ipRestriction: maybe<unknown>('10.0.0.0/8', ['10.1.2.3/16', '2001:DB8::/32'], null),
  expireAt: maybe('2090-01-01T00:00:00Z', '2095-01-01T00:00:00+01:00', null),
  metadata: maybe<object>({}, { a: 1, b: true }),
})

/** A scope is its service's own, and only what this file declares is named in it. */
const files: fc.Arbitrary<File> = fc
  .record({
    services: fc.uniqueArray(service, { selector: ({ id }) => id }),
    trustPolicies: fc.uniqueArray(policy, { selector: ({ name }) => name }),
    tokens: fc.uniqueArray(token, { selector: ({ name }) => name }),
  })
  .map(({ services, trustPolicies, tokens }) => {
    const own = services.map((one) => ({
      ...one,
      scopes: one.scopes.filter(({ name }) => name.startsWith(`${one.id}:`)),
    }))
    const known = own.flatMap(({ scopes }) => scopes.map(({ name }) => name))
    const within = <T extends { scopes: string[] }>(list: T[]): T[] =>
      list.map((one) => ({ ...one, scopes: one.scopes.filter((scope) => known.includes(scope)) }))
    const notEmpty = <T extends { scopes: string[] }>(list: T[]) =>
      within(list).filter(({ scopes }) => scopes.length > 0)
    return {
      services: own.map((one) => ({ ...one, presets: notEmpty(one.presets) })),
      trustPolicies: notEmpty(trustPolicies),
      tokens: within(tokens),
    }
  })
  // As a file has it: without what is undefined.
  .map((file) => JSON.parse(JSON.stringify(file)))
