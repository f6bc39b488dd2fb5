// Values that many tokens share (scope sets, teams, ranges), kept once and counted. A value nobody refers to any
// more is forgotten at once, so sets that come and go do not pile up. What the values mean is the caller's.

export class Interned<Value> {
  readonly #ids = new Map<string, number>()
  readonly #keys: string[] = []
  readonly #values: (Value | undefined)[] = []
  readonly #references: number[] = []
  readonly #free: number[] = []

  get size(): number {
    return this.#ids.size
  }

  /** The id of the value known by `key`, made by `make` if nobody has it yet; owned until released. */
  acquire<From>(key: string, make: (from: From) => Value, from: From): number {
    const known = this.#ids.get(key)
    if (known !== undefined) {
      this.#references[known]!++
      return known
    }
    const id = this.#free.pop() ?? this.#values.length
    this.#ids.set(key, id)
    this.#keys[id] = key
    this.#values[id] = make(from)
    this.#references[id] = 1
    return id
  }

  value(id: number): Value {
    return this.#values[id]!
  }

  release(id: number): void {
    if (--this.#references[id]! > 0) return
    this.#ids.delete(this.#keys[id]!)
    this.#keys[id] = ''
    this.#values[id] = undefined
    this.#free.push(id)
  }

  clear(): void {
    this.#ids.clear()
    for (const list of [this.#keys, this.#values, this.#references, this.#free]) list.length = 0
  }
}
