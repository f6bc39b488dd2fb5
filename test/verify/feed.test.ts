// Client libraries that remember verdicts hear of every change, also of those they have missed, or that they must forget
// everything.
import fc from 'fast-check'
import t from 'tap'
import type { Invalidation } from '../../src/db/change.ts'
import { createFeed, type FeedEvent } from '../../src/verify/feed.ts'

const token = (n: number): Invalidation => ({ kind: 'token', id: `tok_${n}` })
const change: fc.Arbitrary<Invalidation[] | null> = fc.oneof(
  fc.nat(9).map((n) => [token(n)]),
  fc.constantFrom<Invalidation[]>([{ kind: 'services' }], [{ kind: 'subject', id: 'user_a' }, token(1)]),
  fc.constant(null),
)

t.test('who comes back hears what it has missed, in order, as if it had never been away', async () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), fc.nat(30), (changes, at) => {
      const feed = createFeed('rep_a')
      const heard: FeedEvent[] = []
      const there: FeedEvent[] = []
      feed.subscribe(null, (event) => there.push(event))
      const leave = feed.subscribe(null, (event) => heard.push(event))
      for (const [n, what] of changes.entries()) {
        if (n === at) leave()
        if (what === null) feed.publishReset()
        else feed.publish(what)
      }
      if (changes.length <= at) leave()
      feed.subscribe(heard.at(-1)!.id, (event, missed) => missed && heard.push(event))
      return JSON.stringify(heard) === JSON.stringify(there) && there.length === changes.length + 1
    }),
  )
})

t.test('whom it cannot be told what it has missed forgets everything', async (t) => {
  const feed = createFeed('rep_a')
  for (let n = 0; n < 5_000; n++) feed.publish([token(n)])
  const missedSince = (since: string | null) => {
    const heard: FeedEvent[] = []
    feed.subscribe(since, (event) => heard.push(event))
    return heard
  }
  const reset = [{ kind: 'reset', id: 'rep_a.5000' }]
  for (const [since, why] of [
    [null, 'it was never here'],
    ['rep_b.5000', 'it was with another replica'],
    ['rep_a.5001', 'it has heard what was never said'],
    ['rep_a.903', 'it was away for too long'],
    ['rep_a', 'it does not say since when'],
    ['rep_a.x', 'nor in a number'],
    ['', 'nor anything'],
  ] as const)
    t.same(missedSince(since), reset, why)
  t.equal(missedSince('rep_a.904').length, 4_096)
  t.same(missedSince('rep_a.5000'), [])
})

t.test('what scopes mean concerns every verdict, what a service has published concerns none', async (t) => {
  const feed = createFeed('rep_a')
  const heard: FeedEvent[] = []
  feed.subscribe(null, (event, missed) => missed || heard.push(event))
  feed.publish([token(1), { kind: 'scopes' }])
  feed.publish([{ kind: 'catalog' }])
  feed.publish([token(2), { kind: 'catalog' }])
  t.same(heard, [
    { kind: 'reset', id: 'rep_a.1' },
    { kind: 'forget', id: 'rep_a.2', what: [token(2)] },
  ])
})
