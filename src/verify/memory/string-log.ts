// Strings as bytes outside the JavaScript heap, in segments of a log. An entry is never changed; a freed one leaves
// dead bytes, and a segment that is mostly dead is evacuated. So the log is at most about twice what lives in it,
// and no step copies more than half a segment. Who owns an entry, and where it is now, the owner remembers.

export type Owner = {
  /** Whether this owner's string is (still) the entry at `position`. */
  isAt(id: number, position: number): boolean
  moved(id: number, position: number): void
}

type Segment = { readonly bytes: Buffer; filled: number; dead: number }

const SEGMENT_BITS = 16
const SEGMENT_BYTES = 1 << SEGMENT_BITS
const MAX_SEGMENTS = 2 ** (32 - SEGMENT_BITS)
const HEADER_BYTES = 6
/** Less than half a segment, so that one evacuation and one entry always fit into a fresh one. */
const MAX_STRING_BYTES = 0x3fff
const WIDE = 0x8000

export class StringLog {
  readonly #owner: Owner
  #segments: (Segment | undefined)[] = []
  #free: number[] = []
  #head = -1

  constructor(owner: Owner) {
    this.#owner = owner
  }

  get bytes(): number {
    return (this.#segments.length - this.#free.length) * SEGMENT_BYTES
  }

  /**
   * Anything above latin1 is kept as UTF-16, not as UTF-8: UTF-8 has no bytes for a lone surrogate, and two
   * strings must never become one.
   */
  append(id: number, text: string): number {
    const wide = /[^\x00-\xff]/.test(text)
    const length = wide ? text.length * 2 : text.length
    if (length > MAX_STRING_BYTES) throw new RangeError('a string of this length is not kept in memory')
    const position = this.#reserve(HEADER_BYTES + length)
    const { bytes } = this.#segmentOf(position)
    const start = offsetOf(position)
    bytes.writeUInt32LE(id, start)
    bytes.writeUInt16LE(wide ? length | WIDE : length, start + 4)
    bytes.write(text, start + HEADER_BYTES, wide ? 'utf16le' : 'latin1')
    return position
  }

  read(position: number): string {
    const { bytes } = this.#segmentOf(position)
    const start = offsetOf(position) + HEADER_BYTES
    const header = bytes.readUInt16LE(start - 2)
    return bytes.toString(header < WIDE ? 'latin1' : 'utf16le', start, start + (header & ~WIDE))
  }

  /** To be called when the owner no longer claims the entry; may move others. */
  free(position: number): void {
    this.#countDead(segmentNumber(position), this.#entryBytes(position))
  }

  clear(): void {
    this.#segments = []
    this.#free = []
    this.#head = -1
  }

  #segmentOf(position: number): Segment {
    return this.#segments[segmentNumber(position)]!
  }

  #entryBytes(position: number): number {
    return HEADER_BYTES + (this.#segmentOf(position).bytes.readUInt16LE(offsetOf(position) + 4) & ~WIDE)
  }

  #reserve(bytes: number): number {
    if (this.#head < 0 || this.#segments[this.#head]!.filled + bytes > SEGMENT_BYTES) this.#startSegment()
    const head = this.#segments[this.#head]!
    const position = this.#head * SEGMENT_BYTES + head.filled
    head.filled += bytes
    return position
  }

  #startSegment(): void {
    const previous = this.#head
    const next = this.#free.pop() ?? this.#segments.length
    if (next >= MAX_SEGMENTS) throw new RangeError('positions of strings no longer fit 32 bits')
    this.#segments[next] = { bytes: Buffer.allocUnsafeSlow(SEGMENT_BYTES), filled: 0, dead: 0 }
    this.#head = next
    if (previous >= 0) this.#countDead(previous, SEGMENT_BYTES - this.#segments[previous]!.filled)
  }

  #countDead(number: number, bytes: number): void {
    const segment = this.#segments[number]!
    segment.dead += bytes
    if (number !== this.#head && segment.dead > SEGMENT_BYTES / 2) this.#evacuate(number)
  }

  #evacuate(number: number): void {
    const { bytes, filled } = this.#segments[number]!
    for (let at = 0; at < filled; ) {
      const from = number * SEGMENT_BYTES + at
      const length = this.#entryBytes(from)
      const id = bytes.readUInt32LE(at)
      if (this.#owner.isAt(id, from)) {
        const to = this.#reserve(length)
        bytes.copy(this.#segmentOf(to).bytes, offsetOf(to), at, at + length)
        this.#owner.moved(id, to)
      }
      at += length
    }
    this.#segments[number] = undefined
    this.#free.push(number)
  }
}

const segmentNumber = (position: number) => position >>> SEGMENT_BITS
const offsetOf = (position: number) => position & (SEGMENT_BYTES - 1)
