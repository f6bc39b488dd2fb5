// Reads from the database are shared, and bounded: nobody is answered by one that began before a change, and more misses
// than can be read soon are refused, so that they neither pile up nor take the database from anybody else.
import t from 'tap'
import type { Facts } from '../../src/policy/facts.ts'
import { createFence } from '../../src/verify/fence.ts'
import { createFlights } from '../../src/verify/flights.ts'
import { turn } from '../helpers/time.ts'

const factsOf = (key: string) => ({ tokenId: key }) as Facts
const outcome = (read: Promise<Facts | null>) =>
  read.then(
    (facts) => facts?.tokenId ?? null,
    (error) => error.code,
  )

/** A database that answers when it is told to: `queries` are those that it has not answered yet. */
function stage() {
  const at = { monotonic: 0 }
  const fence = createFence()
  const queries: { keys: string[]; answer(found?: string[]): void; fail(error: Error): void }[] = []
  const asked: string[][] = []
  const readFacts = (digests: readonly Buffer[]) =>
    new Promise<ReadonlyMap<string, Facts>>((resolve, reject) => {
      const keys = digests.map((digest) => digest.toString('latin1'))
      asked.push(keys)
      const over = () => void queries.splice(queries.indexOf(query), 1)
      const query = {
        keys,
        answer(found = keys) {
          over()
          resolve(new Map(found.map((key) => [key, factsOf(key)])))
        },
        fail(error: Error) {
          over()
          reject(error)
        },
      }
      queries.push(query)
    })
  const flights = createFlights(readFacts, fence, () => at.monotonic, new Set())
  const read = (...keys: string[]) =>
    outcome(
      flights.read(
        keys[0]!,
        keys.map((key) => Buffer.from(key, 'latin1')),
      ),
    )
  return { at, fence, queries, asked, read }
}

t.test(
  'requests for one secret share a read, also its failure, and it is kept for no later one',
  async (t) => {
    const { queries, asked, read } = stage()
    const together = [read('a'), read('a'), read('b')]
    await turn()
    t.same(asked, [['a', 'b']])
    queries[0]!.answer(['a'])
    t.same(await Promise.all(together), ['a', 'a', null])

    const failing = [read('a'), read('a')]
    await turn()
    queries[0]!.fail(Object.assign(new Error('lost'), { code: 'ECONNRESET' }))
    t.same(await Promise.all(failing), ['ECONNRESET', 'ECONNRESET'])
    const later = read('a')
    await turn()
    queries[0]!.answer([])
    t.equal(await later, null)
    t.equal(asked.length, 3)
  },
)

t.test('a request that begins after a change is not answered by a read that began before it', async (t) => {
  const { fence, queries, asked, read } = stage()
  const before = read('a')
  await turn()
  fence.raise({ kind: 'token', id: 'tok_b' })
  const after = [read('a'), read('a')]
  await turn()
  t.same(asked, [['a'], ['a']])
  // The earlier one ends first: the later one is still shared.
  queries[0]!.answer()
  t.equal(await before, 'a')
  after.push(read('a'))
  queries[0]!.answer([])
  t.same(await Promise.all(after), [null, null, null])
  t.equal(asked.length, 2)
})

t.test('a secret is found under the key of before, and nobody is given what is another’s', async (t) => {
  const { queries, read } = stage()
  const reads = [read('a', 'a before'), read('b', 'b before'), read('c')]
  await turn()
  queries[0]!.answer(['a before', 'c'])
  t.same(await Promise.all(reads), ['a before', null, 'c'])
})

t.test('of whatever many, two queries are asked at once, for 128 each', async (t) => {
  const { queries, read } = stage()
  const reads = Array.from({ length: 1_000 }, (_, n) => read(`${n}`))
  const sizes: number[] = []
  for (;;) {
    await turn()
    await turn()
    if (queries.length === 0) break
    t.ok(queries.length <= 2, `${queries.length} at once`)
    sizes.push(queries[0]!.keys.length)
    queries[0]!.answer()
  }
  t.same(sizes, [...Array(7).fill(128), 104])
  t.same(
    await Promise.all(reads),
    reads.map((_, n) => `${n}`),
  )
})

t.test('who has waited too long for a query is refused, and not read for', async (t) => {
  const { at, queries, asked, read } = stage()
  const first = read('a')
  await turn()
  const second = read('b')
  await turn()
  const late = read('late')
  at.monotonic += 1
  const inTime = read('in time')
  at.monotonic += 699
  queries[0]!.answer()
  t.equal(await late, 'unavailable')
  await turn()
  queries[1]!.answer()
  queries[0]!.answer()
  t.same(await Promise.all([first, second, inTime]), ['a', 'b', 'in time'])
  t.same(asked.flat(), ['a', 'b', 'in time'])
})

t.test('more than can be read soon are refused at once, and those before them are not harmed', async (t) => {
  const { queries, read } = stage()
  const reads = Array.from({ length: 4_000 }, (_, n) => read(`${n}`))
  t.equal(await Promise.race([read('one too many'), turn().then(() => 'waits')]), 'unavailable')
  for (;;) {
    await turn()
    await turn()
    if (queries.length === 0) break
    queries[0]!.answer()
  }
  t.same(
    await Promise.all(reads),
    reads.map((_, n) => `${n}`),
  )
})
