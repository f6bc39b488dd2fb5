// Time that a test moves by hand: what was to happen later happens when the test says so, and at no other time.
import type { Test } from 'tap'

export type Time = {
  /** Milliseconds that never go back, as by performance.now(). */
  readonly now: () => number
  /** What is due meanwhile happens, in order, each at its time. */
  pass(ms: number): void
  /** The machine sleeps: the day's time goes on alone. */
  sleep(ms: number): void
  /** For how long the timer that is due last has still to wait. */
  longest(): number
  /** How many timers wait. */
  timers(): number
}

type Timer = { due: number; readonly every: number | null; readonly call: () => void; unref(): Timer }
type Call = (...given: unknown[]) => void

/** From now until the test ends, both clocks and all timers. What was begun before goes by the real time. */
export function takeTime(t: Test): Time {
  const real = { setTimeout, setInterval, clearTimeout, clearInterval }
  const clocks = { day: Date.now, monotonic: performance.now }
  t.teardown(() => {
    Object.assign(globalThis, real)
    Date.now = clocks.day
    performance.now = clocks.monotonic
  })
  let now = 1_000_000
  let slept = 0
  Date.now = () => Date.UTC(2026, 10, 22) + now + slept
  performance.now = () => now
  const timers = new Set<Timer>()
  const begin = (call: () => void, ms: number, every: number | null): Timer => {
    const timer: Timer = { due: now + ms, every, call, unref: () => timer }
    timers.add(timer)
    return timer
  }
  const clear = (timer: unknown) => {
    if (!timers.delete(timer as Timer)) real.clearTimeout(timer as NodeJS.Timeout)
  }
  Object.assign(globalThis, {
    setTimeout: (call: Call, ms = 0, ...given: unknown[]) => begin(() => call(...given), ms, null),
    setInterval: (call: Call, ms = 0, ...given: unknown[]) => begin(() => call(...given), ms, ms),
    clearTimeout: clear,
    clearInterval: clear,
  })
  const next = (until: number) => {
    let first: Timer | null = null
    for (const timer of timers)
      if (timer.due <= until && (first === null || timer.due < first.due)) first = timer
    return first
  }
  return {
    now: () => now,
    pass(ms) {
      const until = now + ms
      for (let timer = next(until); timer !== null; timer = next(until)) {
        now = timer.due
        if (timer.every === null) timers.delete(timer)
        else timer.due += timer.every
        timer.call()
      }
      now = until
    },
    sleep(ms) {
      slept += ms
    },
    timers: () => timers.size,
    longest: () => Math.max(0, ...[...timers].map(({ due }) => due - now)),
  }
}

/** All promises that can go on have gone on by then, and what they asked for as soon as possible has been done. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
