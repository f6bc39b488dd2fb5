// The token string: the published recipe to the letter, no typo that passes, nothing predictable about it.
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { checksum, hintOf, mintSecret, prefixPattern, secretShape } from '../../src/token/format.ts'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const letter = fc.constantFrom(...alphabet)
const random = fc.string({ unit: letter, minLength: 30, maxLength: 30 })
const shape = secretShape(['lk', 'old'])

t.test("the checksum is that of GitHub's published recipe, vector by vector", async (t) => {
  const vectors: [string, string][] = [
    ['0'.repeat(30), '2C8GjS'],
    ['z'.repeat(30), '4IlJEz'],
    ['zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ', '0mLq17'],
    ['latchkeyMaxCrc000000000380ZOJv', '4gfFC3'],
  ]
  for (const [body, expected] of vectors) {
    t.equal(checksum(body), expected)
    t.ok(shape(`lk_pat_${body}${expected}`), 'and the whole is taken for one of ours')
  }
  t.equal(crc32(vectors[3]![0]), 0xffffffff, 'the last one is the greatest CRC there is')
})

t.test(
  'the checksum reads back as the CRC-32 of the random part, in six digits, whatever that part is',
  async () => {
    const value = (text: string) => [...text].reduce((sum, one) => sum * 62 + alphabet.indexOf(one), 0)
    fc.assert(
      fc.property(random, (body) => {
        const text = checksum(body)
        return text.length === 6 && value(text) === crc32(body)
      }),
      { numRuns: 2_000 },
    )
  },
)

t.test('every minted secret has the shape of its type, and no other type or prefix claims it', async (t) => {
  for (const [type, marker] of [
    ['personal', 'pat'],
    ['service', 'svc'],
    ['federated', 'tmp'],
  ] as const) {
    const secret = mintSecret('lk', type)
    t.match(secret, new RegExp(`^lk_${marker}_[0-9A-Za-z]{36}$`))
    t.ok(shape(secret))
    t.ok(shape(secret.replace('lk_', 'old_')), 'a former prefix stays valid')
    for (const other of [
      secret.replace('lk_', 'lkx_'),
      secret.replace('lk_', 'l_'),
      secret.replace(`_${marker}_`, '_xyz_'),
      secret.toUpperCase(),
      ` ${secret}`,
      `${secret}\n`,
      `${secret}0`,
      secret.slice(0, -1),
      secret.replace('_', '-'),
    ])
      t.notOk(shape(other), JSON.stringify(other.replace(secret, '…')))
  }
})

t.test('a secret with one mistyped character is never looked up', async () => {
  fc.assert(
    fc.property(random, fc.nat(35), letter, (body, at, typed) => {
      const right = body + checksum(body)
      fc.pre(right[at] !== typed)
      return !shape(`lk_pat_${right.slice(0, at)}${typed}${right.slice(at + 1)}`)
    }),
    { numRuns: 10_000 },
  )
})

t.test('a secret with two neighbours swapped is never looked up', async () => {
  fc.assert(
    fc.property(random, fc.nat(34), (body, at) => {
      const right = body + checksum(body)
      fc.pre(right[at] !== right[at + 1])
      const swapped = right.slice(0, at) + right[at + 1] + right[at] + right.slice(at + 2)
      return !shape(`lk_pat_${swapped}`)
    }),
    { numRuns: 10_000 },
  )
})

t.test('no character of the random part is likelier than another', async (t) => {
  const counts = new Map<string, number>()
  const minted = 8_000
  for (let n = 0; n < minted; n++)
    for (const one of mintSecret('lk', 'personal').slice(7, 37)) counts.set(one, (counts.get(one) ?? 0) + 1)
  t.equal(counts.size, 62)
  const expected = (minted * 30) / 62
  const chiSquare = [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
  // 61 degrees of freedom: above 135 once in ten million runs. `byte % 62` on raw bytes gives about 1,800 here.
  t.ok(chiSquare < 135, `χ² = ${chiSquare.toFixed(1)}`)
})

t.test('a hint shows four characters at each end of the body and nothing of what lies between', async (t) => {
  const secret = mintSecret('acme', 'service')
  const body = secret.slice('acme_svc_'.length)
  t.equal(hintOf(secret), `acme_svc_${body.slice(0, 4)}…${body.slice(-4)}`)
})

t.test('a prefix is one that leaves no doubt where it ends', async (t) => {
  for (const good of ['lk', 'a', 'gpx2', 'abcdefghijklmnop']) t.match(good, prefixPattern)
  for (const bad of ['', 'Lk', '1k', 'a_b', 'a-b', 'abcdefghijklmnopq', 'a|b', 'a.'])
    t.notMatch(bad, prefixPattern)
})
