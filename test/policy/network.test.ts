// Addresses and ranges against two oracles that share nothing with the code: plain BigInt arithmetic on the numbers
// that the texts were made from, and the BlockList of Node. Half-understood spellings are how CIDR checks are bypassed.
import { BlockList } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import {
  type Address,
  contains,
  covers,
  formatRange,
  parseAddress,
  parseRange,
  withinAny,
} from '../../src/policy/network.ts'

/** The oracle's address: its number, and whether it is IPv4. */
type Plain = { readonly value: bigint; readonly bits: 32 | 128 }
type PlainRange = Plain & { readonly prefix: number }

// xorshift32: the same pairs in every run, and cheaper than a property runner for 10^5 of them.
let state = 0x9e3779b9
function below(most: number): number {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) % most
}
const oneOf = <T>(...choices: readonly T[]): T => choices[below(choices.length)]!
const bits128 = () => [0, 0, 0, 0].reduce((sum) => (sum << 32n) | BigInt(below(2 ** 32)), 0n)

const isMapped = (value: bigint) => value >> 32n === 0xffffn
const hostMask = ({ bits, prefix }: PlainRange) => (1n << BigInt(bits - prefix)) - 1n
const within = (range: PlainRange, one: Plain) =>
  range.bits === one.bits && (range.value | hostMask(range)) === (one.value | hostMask(range))

function anyAddress(): Plain {
  if (below(2) === 0) return { value: BigInt(below(2 ** 32)), bits: 32 }
  // Zeros in runs, as real addresses have them.
  const groups = Array.from({ length: 8 }, () => oneOf(0n, 0n, 1n, 0xffffn, BigInt(below(65_536))))
  const value = below(4) === 0 ? bits128() : groups.reduce((sum, group) => (sum << 16n) | group, 0n)
  return isMapped(value) ? anyAddress() : { value, bits: 128 }
}

/** One that agrees with the range in all but a few bits near its border: where mistakes would be. */
function nearby(range: PlainRange): Plain {
  const flip = 1n << BigInt(Math.min(range.bits - 1, Math.max(0, range.bits - range.prefix - 2 + below(4))))
  const host = (range.bits === 32 ? BigInt(below(2 ** 32)) : bits128()) & hostMask(range)
  const value = (range.value & ~hostMask(range)) | host
  return { bits: range.bits, value: below(2) === 0 ? value : value ^ flip }
}

const dotted = (value: bigint) => [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')
const groupsOf = (value: bigint) =>
  [7n, 6n, 5n, 4n, 3n, 2n, 1n, 0n].map((n) => (value >> (n * 16n)) & 0xffffn)

/** Some way to write the address; an IPv4 one also as an IPv4-mapped IPv6 one. */
function spelled({ value, bits }: Plain, mapped: boolean): string {
  if (bits === 32 && !mapped) return dotted(value)
  const whole = bits === 32 ? (0xffffn << 32n) | value : value
  const digits = (group: bigint) => {
    const hex = group.toString(16)
    return oneOf(hex, hex.padStart(4, '0'), hex.toUpperCase())
  }
  const groups = groupsOf(whole).map(digits)
  const tail = below(3) === 0 ? [...groups.slice(0, 6), dotted(whole & 0xffffffffn)] : groups
  const zeros = groupsOf(whole).slice(0, tail.length === 7 ? 6 : 8)
  const start = zeros.indexOf(0n)
  if (start < 0 || below(4) === 0) return tail.join(':')
  let end = start
  while (zeros[end] === 0n) end++
  return `${tail.slice(0, start).join(':')}::${tail.slice(end).join(':')}`
}

const plainOf = (address: Address): Plain => ({
  value: address.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n),
  bits: address.length === 1 ? 32 : 128,
})

t.test(
  '110,000 pairs of address and range, in any spelling, are judged as arithmetic and Node judge them',
  async (t) => {
    const pairs = 110_000
    let inside = 0
    for (let n = 0; n < pairs; n++) {
      const base = anyAddress()
      const prefix = below(8) === 0 ? oneOf(0, base.bits) : below(base.bits + 1)
      const range: PlainRange = { ...base, prefix }
      const one = below(4) === 0 ? anyAddress() : nearby(range)
      if (one.bits === 128 && isMapped(one.value)) continue
      const rangeMapped = base.bits === 32 && below(3) === 0
      const rangeText = `${spelled(base, rangeMapped)}/${prefix + (rangeMapped ? 96 : 0)}`
      const text = spelled(one, below(3) === 0)
      const parsedRange = parseRange(rangeText)
      const address = parseAddress(text)
      if (!parsedRange || !address) return t.fail(`cannot be read: ${rangeText} or ${text}`)
      const expected = within(range, one)
      if (expected) inside += 1
      if (plainOf(address).value !== one.value || plainOf(address).bits !== one.bits)
        return t.fail(`${text} is read as ${plainOf(address)}`)
      if (contains(parsedRange, address) !== expected || withinAny([rangeText], address) !== expected)
        return t.fail(`${text} in ${rangeText} should be ${expected}`)
      if (base.bits === one.bits && n % 10 === 0) {
        const family = base.bits === 32 ? 'ipv4' : 'ipv6'
        const list = new BlockList()
        list.addSubnet(spelled(base, false), prefix, family)
        if (list.check(spelled(one, false), family) !== expected)
          return t.fail(`the oracles differ: ${text} ${rangeText}`)
      }
    }
    return t.ok(inside > pairs / 4 && inside < (pairs * 3) / 4, `${inside} of ${pairs} were inside`)
  },
)

t.test(
  'what a range is normalised to is canonical (RFC 5952), reads back as the same, and is a fixed point',
  async (t) => {
    for (let n = 0; n < 20_000; n++) {
      const base = anyAddress()
      const range: PlainRange = { ...base, prefix: below(base.bits + 1) }
      const parsed = parseRange(`${spelled(base, false)}/${range.prefix}`)
      if (!parsed) return t.fail('cannot be read')
      const text = formatRange(parsed)
      if (!isDeepStrictEqual(parseRange(text), parsed)) return t.fail(`${text} does not read back as itself`)
      const masked: Plain = { bits: base.bits, value: range.value & ~hostMask(range) }
      const address =
        base.bits === 32
          ? dotted(masked.value)
          : new URL(
              `http://[${groupsOf(masked.value)
                .map((group) => group.toString(16))
                .join(':')}]`,
            ).hostname.slice(1, -1)
      const expected = range.prefix === base.bits ? address : `${address}/${range.prefix}`
      if (text !== expected) return t.fail(`${text} should be ${expected}`)
    }
    return t.pass('20,000 ranges')
  },
)

t.test('a range covers another exactly when it holds its first and its last address', async () => {
  const ranges = fc
    .tuple(
      fc.constantFrom(32 as const, 128 as const),
      fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
      fc.nat(128),
    )
    .map(
      ([bits, value, prefix]): PlainRange => ({
        bits,
        value: bits === 32 ? value & 0xffffffffn : value | (1n << 127n),
        prefix: prefix % (bits + 1),
      }),
    )
  const inside = fc
    .tuple(ranges, fc.nat(128))
    .map(([outer, more]): [PlainRange, PlainRange] => [
      outer,
      { ...outer, prefix: Math.min(outer.bits, outer.prefix + (more % 8)) },
    ])
  const parsed = (range: PlainRange) => parseRange(`${spelled(range, false)}/${range.prefix}`)!
  fc.assert(
    fc.property(
      fc.oneof(
        fc.tuple(ranges, ranges),
        inside,
        inside.map(([a, b]) => [b, a] as const),
      ),
      ([outer, inner]) => {
        const first = { bits: inner.bits, value: inner.value & ~hostMask(inner) }
        const last = { bits: inner.bits, value: inner.value | hostMask(inner) }
        return covers(parsed(outer), parsed(inner)) === (within(outer, first) && within(outer, last))
      },
    ),
    { numRuns: 5_000 },
  )
})

t.test(
  'an IPv4-mapped address is its IPv4 address, and a prefix that leaves the mapped block is refused',
  async (t) => {
    for (const text of [
      '::ffff:10.1.2.3',
      '::FFFF:0a01:0203',
      '0:0:0:0:0:ffff:a01:203',
      '0000::ffff:10.1.2.3',
    ])
      t.same(parseAddress(text), parseAddress('10.1.2.3'), text)
    for (const text of ['::10.1.2.3', '64:ff9b::10.1.2.3', '2002:a01:203::', '::ffff:0:10.1.2.3'])
      t.notSame(parseAddress(text), parseAddress('10.1.2.3'), `${text} is IPv6`)
    t.equal(formatRange(parseRange('::ffff:10.1.2.3/104')!), '10.0.0.0/8')
    t.equal(formatRange(parseRange('::ffff:0:0/96')!), '0.0.0.0/0')
    for (const prefix of [0, 1, 64, 95, 129]) t.equal(parseRange(`::ffff:10.1.2.3/${prefix}`), null)
  },
)

t.test('/0 holds every address of its own family and none of the other', async (t) => {
  const [four, six] = [parseRange('0.0.0.0/0')!, parseRange('::/0')!]
  const [v4, v6] = [parseAddress('203.0.113.7')!, parseAddress('2001:db8::1')!]
  t.same(
    [contains(four, v4), contains(four, v6), contains(six, v6), contains(six, v4)],
    [true, false, true, false],
  )
  t.same([covers(four, six), covers(six, four)], [false, false])
})

t.test('what is not exactly one address or one CIDR is not read at all', async (t) => {
  const bad = [
    ...['', ' ', '/', '/8', '1.2.3', '1.2.3.4.5', '256.1.1.1', '-1.2.3.4', '1.2.3.4.', '.1.2.3.4', '1..2.3'],
    ...[
      '010.1.1.1',
      '01.2.3.4',
      '0x7f.0.0.1',
      '0x7f000001',
      '2130706433',
      '1.2.3.4:80',
      ' 1.2.3.4',
      '1.2.3.4 ',
    ],
    ...['1.2.3.4\n', '1.2.3.4\0', '1.2.3.4,5.6.7.8', '１.2.3.4', '1。2。3。4', 'localhost', '*', '1.2.3.*'],
    ...['[::1]', '[::1]:80', '::1%lo', 'fe80::1%eth0', 'fe80::1%', ':', ':::', '1::2::3', '12345::', 'g::'],
    ...[
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '::1.2.3',
      '::1.2.3.256',
      '::01.2.3.4',
      '1.2.3.4::',
      '::ffff:1.2.3.4:5',
    ],
    ...[
      '1.2.3.4/',
      '1.2.3.4/33',
      '1.2.3.4/-1',
      '1.2.3.4/+8',
      '1.2.3.4/08',
      '1.2.3.4/8.0',
      '1.2.3.4/1e1',
      '1.2.3.4/ 8',
    ],
    ...[
      '1.2.3.4/8 ',
      '1.2.3.4/8/8',
      '1.2.3.4/255.0.0.0',
      '::1/129',
      '::/0x0',
      'fe80::1%eth0/64',
      '[::]/0',
      '1.2.3.4/²',
    ],
  ]
  for (const text of bad) {
    t.equal(parseAddress(text), null, JSON.stringify(text))
    t.equal(parseRange(text), null, JSON.stringify(text))
  }
  t.equal(parseAddress('10.0.0.0/8'), null, 'a range is no address')
})

t.test('arbitrary text is refused or read, never thrown at', async () => {
  const pieces = fc.constantFrom(...'0123456789abcdefABCDEF:::...//%[] \0é', 'ffff', '::', '255')
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 24 }), (parts) => {
      const range = parseRange(parts.join(''))
      return range === null || formatRange(parseRange(formatRange(range))!) === formatRange(range)
    }),
    { numRuns: 20_000 },
  )
})
