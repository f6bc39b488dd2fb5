// Whether two services take the same requests: a property, against trying every path there is; and the templates,
// bases and scope sets that it rests on.
import fc from 'fast-check'
import t from 'tap'
import { basesMeet, basesOf } from '../../src/catalog/claims.ts'
import { overlapOf, type Route, TooManyPatterns, trieOf } from '../../src/catalog/overlap.ts'
import { smallestSet } from '../../src/catalog/smallest.ts'
import { faultOf, segmentsMeet, segmentsOf, shapeOf } from '../../src/catalog/template.ts'

/** All texts of up to five characters of a small alphabet: enough for segments as short as those below. */
const alphabet = ['', 'a', 'b', '.']
const longer = (texts: readonly string[]) => texts.flatMap((text) => alphabet.map((end) => text + end))
const words = [...new Set([1, 2, 3, 4, 5].reduce(longer, ['']))].filter((word) => word !== '')

const patterns = new Map<string, RegExp>()
function matches(template: string, segment: string): boolean {
  const source = template.replace(/\./g, '\\.').replace(/\{\w+\}/g, '.+')
  const pattern = patterns.get(template) ?? new RegExp(`^${source}$`)
  patterns.set(template, pattern)
  return pattern.test(segment)
}

const segment = fc.constantFrom(
  'a',
  'b',
  'ab',
  '{x}',
  '{x}.a',
  'a{x}',
  'a.{x}',
  '{x}b',
  '{x}.{y}',
  'a{x}b',
  'a.b',
)
const route = fc.record({
  method: fc.constantFrom('GET', 'PUT'),
  path: fc.array(segment, { maxLength: 3 }).map((segments) => `/${segments.join('/')}`),
})
const routes = fc.array(route, { maxLength: 8 })

/** Segment by segment, by trying every word. */
function meetByTrying(left: Route, right: Route): boolean {
  const [one, other] = [left, right].map(({ path }) => path.split('/').filter(Boolean))
  if (left.method !== right.method || one!.length !== other!.length) return false
  return one!.every((part, index) =>
    words.some((word) => matches(part, word) && matches(other![index]!, word)),
  )
}

t.test('an overlap is found exactly where some request fits both', async (t) => {
  let [found, none] = [0, 0]
  fc.assert(
    fc.property(routes, routes, (left, right) => {
      const expected = left.some((one) => right.some((other) => meetByTrying(one, other)))
      const overlap = overlapOf(trieOf(left), trieOf(right))
      if (overlap) found += 1
      else none += 1
      if (overlap && !meetByTrying(overlap.left, overlap.right)) return false
      return (overlap !== null) === expected
    }),
    { numRuns: 2_000 },
  )
  t.comment(`${found} with, ${none} without an overlap`)
  t.ok(found > 200 && none > 200)
})

t.test('two segments meet exactly where some text fits both', async (t) => {
  const all = [
    'a',
    'ab',
    '{x}',
    '{x}a',
    'a{x}',
    '{x}.a',
    '{x}.{y}',
    'a{x}b',
    '{x}a{y}',
    'b{x}',
    'a.{x}',
    '.',
    '{x}..{y}',
  ]
  for (const left of all)
    for (const right of all) {
      const expected = words.some((word) => matches(left, word) && matches(right, word))
      const [one, other] = [left, right].map((text) => segmentsOf(`/${text}`)[0]!)
      t.equal(segmentsMeet(one!, other!), expected, `${left} and ${right}`)
    }
})

t.test('below a base path, it is the whole path that counts', async (t) => {
  const get = (path: string): Route[] => [{ method: 'GET', path }]
  t.equal(overlapOf(trieOf(get('/posts'), '/v1'), trieOf(get('/posts'), '/v2')), null)
  t.ok(overlapOf(trieOf(get('/posts'), '/v1'), trieOf(get('/v1/posts'))))
  t.ok(overlapOf(trieOf(get('/posts/')), trieOf(get('/posts'))), 'a slash at the end makes no difference')
  t.ok(overlapOf(trieOf(get('/')), trieOf(get('/'))))
})

t.test('five thousand routes on each side take a moment', async (t) => {
  const many = (name: string) =>
    Array.from({ length: 5_000 }, (_, n) => ({
      method: 'GET',
      path: `/v1/${name}${n % 70}/{id}/parts/p${n}/{part}`,
    }))
  const begun = performance.now()
  t.equal(overlapOf(trieOf(many('left')), trieOf(many('right'))), null)
  const anywhere = many('left').map((one, n) => ({ ...one, path: `/{a}/{b}/{c}/x${n}` }))
  t.equal(overlapOf(trieOf(anywhere), trieOf(many('right'))), null)
  t.comment(`${(performance.now() - begun).toFixed(0)} ms`)
  t.ok(performance.now() - begun < 5_000)
})

t.test(
  'patterns that are made to meet everywhere are given up, not walked through for minutes',
  async (t) => {
    const left = Array.from({ length: 3_000 }, (_, n) => ({ method: 'GET', path: `/{a}x${n}/a` }))
    const right = Array.from({ length: 3_000 }, (_, n) => ({ method: 'GET', path: `/${n}y{b}/b` }))
    const begun = performance.now()
    let thrown: unknown
    try {
      overlapOf(trieOf(left), trieOf(right))
    } catch (error) {
      thrown = error
    }
    t.ok(thrown instanceof TooManyPatterns)
    t.ok(performance.now() - begun < 10_000)
  },
)

t.test('a path that gateways could not surely match is told why', async (t) => {
  for (const good of [
    '/',
    '/a',
    '/a/',
    '/a/{b}',
    '/{b}.json',
    '/a-{b}_{c}',
    '/tokens:bulk-revoke',
    "/a(b)'c'=d,e@f~g!$&+",
    '/{a.b-c}',
    '/...',
  ])
    t.equal(faultOf(good), null, good)
  const bad: Record<string, RegExp> = {
    '': /begin with/,
    a: /begin with/,
    '//a': /empty segment/,
    '/a//b': /empty segment/,
    '/a/../b': /"\.\."/,
    '/.': /"\.\."/,
    '/a/..': /"\.\."/,
    '/a;b': /";"/,
    '/a%2fb': /encoded slash/,
    '/a%2Fb': /encoded slash/,
    '/a%5cb': /backslash/,
    '/a\\b': /backslash/,
    '/a%20b': /percent/,
    '/a?b=c': /query/,
    '/a#b': /fragment/,
    '/a/*': /\{name\}/,
    '/{a': /brace/,
    '/a}': /brace/,
    '/{{a}}': /brace/,
    '/{}': /name/,
    '/{a b}': /name/,
    '/{a}{b}': /nothing between/,
    '/{a}/{a}': /twice/,
    '/é': /encoded/,
    '/a b': /encoded/,
    '/a\u0000': /encoded/,
    [`/${'a'.repeat(600)}`]: /longer/,
  }
  for (const [path, fault] of Object.entries(bad))
    t.match(faultOf(path), fault, JSON.stringify(path.slice(0, 20)))
  t.equal(shapeOf('/a/{b}.json/'), shapeOf('/a/{c}.json'))
})

t.test('a base URL gives a host to its service, servers only narrow where it is looked for', async (t) => {
  const bases = (baseUrl: string | null, ...servers: string[]) => basesOf({ baseUrl, servers })
  t.strictSame(bases('https://API.example.com/v1/', 'https://other'), [
    { host: 'api.example.com', path: '/v1' },
  ])
  t.strictSame(bases(null, 'https://a.example', 'http://a.example:8080/x', '/y', '//b.example/z'), [
    { host: 'a.example', path: '' },
    { host: 'a.example:8080', path: '/x' },
    { host: null, path: '/y' },
    { host: 'b.example', path: '/z' },
  ])
  t.strictSame(bases(null), [{ host: null, path: '' }])
  const at = (host: string | null) => ({ host, path: '' })
  t.equal(basesMeet(at('a'), at('a'), new Set()), true)
  t.equal(basesMeet(at('a'), at('b'), new Set()), false)
  t.equal(basesMeet(at(null), at('a'), new Set()), true, 'whatever host is asked for')
  t.equal(basesMeet(at(null), at('a'), new Set(['a'])), false, 'but for one that is another’s own')
  t.equal(basesMeet(at(null), at(null), new Set(['a'])), true)
})

t.test('the smallest set of scopes leaves out what others in it imply, and never all', async (t) => {
  const declared = [
    { name: 'a', closure: ['a', 'b', 'c'] },
    { name: 'b', closure: ['b', 'c'] },
    { name: 'c', closure: ['c'] },
    { name: 'x', closure: ['x', 'y'] },
    { name: 'y', closure: ['x', 'y'] },
  ]
  t.strictSame(smallestSet(['c', 'b', 'a', 'a'], declared), ['a'])
  t.strictSame(smallestSet(['c', 'b'], declared), ['b'])
  t.strictSame(smallestSet(['y', 'x'], declared), ['x'], 'of two that imply each other, one stays')
  t.strictSame(smallestSet([], declared), [])
  t.strictSame(smallestSet(['unknown', 'c'], declared), ['c', 'unknown'])
})
