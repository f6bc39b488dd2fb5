// Of any text at all: what is taken for a path is one that everybody reads alike, and stays as it is.
import { posix } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { canonicalPath } from '../../src/forward-auth/canonical-path.ts'
import { spellingsOf } from './spellings.ts'

/** Nearly a path: pieces that matter, in any order, between anything. */
const piece = fc.oneof(
  fc.constantFrom('/', '/', '//', '.', '..', '%2e', '%2F', '%5c', '%25', '%00', ';', '\\', '?', '#', '%'),
  fc.constantFrom(
    'v1',
    'posts',
    'Keys',
    ':batch',
    '.json',
    '%20',
    '%C3%A9',
    '%c3',
    '%EF%BC%8F',
    '%e2%80%a4',
    '~',
  ),
  fc.string({ maxLength: 3 }),
  fc.string({ unit: 'binary', maxLength: 2 }),
  fc.webPath({ size: 'small' }),
)
const target = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`)
const accepted = target.filter((text) => canonicalPath(text) !== null).map((text) => canonicalPath(text)!)

t.test('what is accepted has nothing that is read in two ways', async (t) => {
  fc.assert(
    fc.property(accepted, ({ path, decoded }) => {
      const segments = path.split('/').slice(1)
      const same = decoded ?? path
      return (
        path.startsWith('/') &&
        !/[;\\?#\x00-\x20\x7f-\uffff]|%(?:2e|2f|5c|25|3b|3f|23|0|1|7f)/i.test(path) &&
        segments.slice(0, -1).every((segment) => segment !== '') &&
        segments.every((segment) => segment !== '.' && segment !== '..') &&
        // As clients resolve it before they send, servers before they route, and file systems.
        new URL(path, 'http://posts.example.com').pathname === path &&
        posix.normalize(path) === path &&
        posix.normalize(same) === same &&
        // Decoded once or twice, it is the same, with as many segments.
        decodeURIComponent(path) === same &&
        decodeURIComponent(same) === same &&
        same.split('/').length === path.split('/').length
      )
    }),
    { numRuns: 5_000 },
  )
  t.pass('5000 paths')
})

t.test('accepting changes nothing, and is not changed by what is asked behind the path', async (t) => {
  fc.assert(
    fc.property(target, fc.string(), (text, query) => {
      const read = canonicalPath(text)
      if (read !== null && read.path !== text.split('?')[0]) return false
      return JSON.stringify(canonicalPath(`${text.split('?')[0]}?${query}`)) === JSON.stringify(read)
    }),
    { numRuns: 5_000 },
  )
  t.pass('5000 targets')
})

t.test('no text makes it throw, or take long', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      canonicalPath(text)
      canonicalPath(`/${text}`)
    }),
    { numRuns: 5_000 },
  )
  const long = ['/'.repeat(4_000), '/%2'.repeat(1_300), `/${'%C3%A9'.repeat(680)}`, '/.'.repeat(2_000)]
  const begun = performance.now()
  for (const text of long) canonicalPath(text)
  t.ok(performance.now() - begun < 2_000)
  t.equal(canonicalPath(`/${'a'.repeat(5_000)}`), null)
})

t.test('ordinary paths are accepted as they are', async (t) => {
  const ordinary = [
    '/',
    '/v1/posts',
    '/v1/posts/',
    '/v1/posts/01JD-7_x.y~z',
    '/v1/posts:batch',
    '/v1/a,b',
    "/v1/it's(1)+$&!*=@",
    '/v1/a%20b',
    '/v1/caf%C3%A9',
    '/v1/...',
    '/v1/.well-known',
  ]
  for (const path of ordinary) t.equal(canonicalPath(path)?.path, path, path)
})

t.test('nearly every other spelling of a path is refused', async (t) => {
  const spellings = new Set(spellingsOf('/v1/admin/keys'))
  const passing = [...spellings].filter((text) => canonicalPath(text) !== null)
  t.comment(`${passing.length} of ${spellings.size} pass: ${passing.join(' ')}`)
  t.ok(passing.length < spellings.size / 2)
})
