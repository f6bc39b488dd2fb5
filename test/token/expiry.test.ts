// When a token ends: every way to say it, and every limit on it.
import fc from 'fast-check'
import t from 'tap'
import { Problem } from '../../src/http/problem.ts'
import { durationMs } from '../../src/token/duration.ts'
import { chooseExpiry, type ExpiryLimits, readExpiry } from '../../src/token/expiry.ts'

const now = new Date('2026-11-22T12:00:00Z')
const day = 86_400_000
const plus = (ms: number) => new Date(now.getTime() + ms)
const open: ExpiryLimits = { neverAllowed: true, maxLifetimeDays: null, latest: null }

function refusal(work: () => unknown): Problem {
  try {
    work()
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  throw new Error('was not refused')
}

t.test('a duration is what it says, in its short form, in ISO 8601 and in seconds', async (t) => {
  const same: [string | number, number][] = [
    ['30d', 30 * day],
    ['2w', 14 * day],
    ['12h', day / 2],
    ['90m', 5_400_000],
    ['45s', 45_000],
    ['P30D', 30 * day],
    ['P2W', 14 * day],
    ['PT12H', day / 2],
    ['PT90M', 5_400_000],
    ['P1DT2H3M4S', day + 7_384_000],
    ['P1W1D', 8 * day],
    [3_600, 3_600_000],
    [1, 1_000],
  ]
  for (const [text, ms] of same) t.equal(durationMs(text), ms, String(text))
  // A month and a year have no fixed length; the rest is no duration at all.
  for (const text of [
    '',
    '30',
    'd',
    '30D',
    '-1d',
    '1.5d',
    '30 d',
    'P1M',
    'P1Y',
    '1e3s',
    'P30D\n',
    '٣٠d',
    '30d12h',
  ])
    t.ok(Number.isNaN(durationMs(text)), JSON.stringify(text))
})

t.test('what is left out ends after 90 days, null never, and the two fields are not mixed', async (t) => {
  t.same(chooseExpiry({}, open, now), plus(90 * day))
  t.equal(chooseExpiry({ expireAt: null }, open, now), null)
  t.same(chooseExpiry({ expiresIn: '30d' }, open, now), plus(30 * day))
  t.same(chooseExpiry({ expireAt: '2027-01-01T01:00:00+01:00' }, open, now), new Date('2027-01-01T00:00:00Z'))
  for (const expireAt of ['2027-01-01T00:00:00Z', null])
    t.match(refusal(() => chooseExpiry({ expireAt, expiresIn: '30d' }, open, now)).extras, {
      errors: [{ pointer: '/expiresIn' }],
    })
})

t.test(
  'an end that is past, now, unreadable or more than 100 years away is refused, naming the field',
  async (t) => {
    const farthest = plus(36_500 * day)
    t.same(readExpiry({ expireAt: farthest.toISOString() }, now), farthest)
    t.same(readExpiry({ expireAt: plus(1).toISOString() }, now), plus(1))
    for (const expireAt of [
      now.toISOString(),
      plus(-1).toISOString(),
      plus(36_500 * day + 1).toISOString(),
      '1970-01-01T00:00:00Z',
      '9999-12-31T23:59:59Z',
      '+010000-01-01T00:00:00Z',
      '+275760-09-13T00:00:00Z',
      '2026-12-31T23:59:60Z',
      'soon',
    ])
      t.match(
        refusal(() => readExpiry({ expireAt }, now)).extras,
        { errors: [{ pointer: '/expireAt' }] },
        expireAt,
      )
    for (const expiresIn of [
      0,
      -1,
      Number.NaN,
      2 ** 53,
      1e308,
      Infinity,
      '0s',
      'P',
      'PT',
      '999999999w',
      'forever',
    ])
      t.match(
        refusal(() => readExpiry({ expiresIn }, now)).extras,
        { errors: [{ pointer: '/expiresIn' }] },
        String(expiresIn),
      )
  },
)

t.test('an end beyond 2^31 seconds or milliseconds is kept exactly', async (t) => {
  for (const at of ['2038-01-19T03:14:07.999Z', '2038-01-19T03:14:08Z', '2106-02-07T06:28:16Z'])
    t.equal(readExpiry({ expireAt: at }, now)?.getTime(), Date.parse(at))
  t.equal(readExpiry({ expiresIn: 2 ** 31 }, now)?.getTime(), now.getTime() + 2 ** 31 * 1000)
})

t.test('a day is 24 hours, whatever daylight saving time does in the zone of the server', async (t) => {
  const former = process.env['TZ']
  t.teardown(() => {
    if (former === undefined) delete process.env['TZ']
    else process.env['TZ'] = former
  })
  for (const zone of ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'UTC']) {
    process.env['TZ'] = zone
    for (const start of ['2026-03-28T12:00:00Z', '2026-10-24T12:00:00Z', '2026-03-07T12:00:00Z']) {
      const end = chooseExpiry({ expiresIn: '2d' }, open, new Date(start))
      t.equal(end?.getTime(), Date.parse(start) + 2 * day, `${zone} ${start}`)
    }
  }
})

t.test(
  'no token ends later than its maker or its scopes allow, and each limit says whose it is',
  async (t) => {
    const maker = { ...open, latest: plus(10 * day) }
    const scope = { ...open, maxLifetimeDays: 5 }
    for (const [limits, days, words] of [
      [maker, 10, /no token outlives the one that makes it/],
      [scope, 5, /maximum lifetime/],
      [{ ...maker, maxLifetimeDays: 5 }, 5, /maximum lifetime/],
      [{ ...scope, latest: plus(2 * day) }, 2, /outlives/],
    ] as const) {
      t.same(chooseExpiry({}, limits, now), plus(days * day), 'silence takes the limit')
      t.same(chooseExpiry({ expiresIn: `${days}d` }, limits, now), plus(days * day))
      for (const input of [{ expireAt: null }, { expiresIn: days * 86_400 + 1 }]) {
        const problem = refusal(() => chooseExpiry(input, limits, now))
        t.equal(problem.code, 'policy-violation')
        t.match(problem.message, words)
        t.match(problem.message, plus(days * day).toISOString())
      }
    }
  },
)

t.test('where tokens without end are refused, only null is', async (t) => {
  const limits = { ...open, neverAllowed: false }
  t.match(refusal(() => chooseExpiry({ expireAt: null }, limits, now)).message, /LATCHKEY_NEVER_EXPIRE/)
  t.same(chooseExpiry({}, limits, now), plus(90 * day))
})

t.test('whatever is asked under whatever limits: refused, or within every limit', async () => {
  const ms = fc.integer({ min: 1, max: 40_000 * day })
  const input = fc.oneof(
    fc.constant({}),
    fc.constant({ expireAt: null }),
    ms.map((at) => ({ expireAt: plus(at).toISOString() })),
    fc.integer({ min: -5, max: 2 ** 40 }).map((expiresIn) => ({ expiresIn })),
    fc.nat(2_000).map((days) => ({ expiresIn: `${days}d` })),
  )
  const limits = fc.record({
    neverAllowed: fc.boolean(),
    maxLifetimeDays: fc.option(fc.integer({ min: 1, max: 3_650 })),
    latest: fc.option(ms.map(plus)),
  })
  fc.assert(
    fc.property(input, limits, (asked, bounds) => {
      let end: Date | null
      try {
        end = chooseExpiry(asked, bounds, now)
      } catch (error) {
        return error instanceof Problem
      }
      const { latest, maxLifetimeDays } = bounds
      if (end === null) return latest === null && maxLifetimeDays === null && bounds.neverAllowed
      return (
        end > now &&
        (latest === null || end <= latest) &&
        (maxLifetimeDays === null || end <= plus(maxLifetimeDays * day))
      )
    }),
    { numRuns: 5_000 },
  )
})
