// Tries again what may pass: a few times, as long as the other side asks for, but not for ever.
import { setTimeout as wait } from 'node:timers/promises'
import { MayPass } from './ask.mjs'
import { say } from './runner.mjs'

const most = 4
const longestMs = 60_000

export async function persist(attempt) {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      const afterMs = error.afterMs ?? 500 * 2 ** tries
      if (!(error instanceof MayPass) || tries === most || afterMs > longestMs) throw error
      say(`${error.message} Trying again in ${afterMs / 1_000} s.`)
      await wait(afterMs)
    }
  }
}
