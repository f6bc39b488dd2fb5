// Ordinary life while trouble is made: workers that provision, check, rotate, narrow, disable and revoke on replicas picked at
// random, and check for longest what was just revoked. Bounded in time; all of it goes into the run's history.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Replica } from './cluster.ts'
import type { Run, Token } from './run.ts'

export type LoadOptions = {
  readonly replicas: readonly Replica[]
  readonly workers?: number
  /** Between two operations of one worker; the machine is not ours alone. */
  readonly pauseMs?: number
  readonly random?: () => number
}

export type Load = {
  /** Resolves when every operation under way has been answered, or given up. */
  stop(): Promise<void>
}

const kept = 64

export function startLoad(
  run: Run,
  { replicas, workers = 3, pauseMs = 10, random = Math.random }: LoadOptions,
): Load {
  let going = true
  const revoked: Token[] = []
  const living: Token[] = []
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!
  const pause = () => sleep(pauseMs * (0.5 + random()))

  async function everywhere(token: Token): Promise<void> {
    await Promise.all(replicas.map((replica) => run.introspect(replica, token)))
  }

  async function life(): Promise<void> {
    const token = await run.provision(pick(replicas))
    if (!token) return void (await pause())
    await everywhere(token)
    const fate = random()
    if (fate < 0.4) await revoke(token)
    else if (fate < 0.55) await rotate(token)
    else if (fate < 0.7) await blink(token)
    else if (fate < 0.8) await run.narrow(pick(replicas), token)
    else living.push(token)
    await everywhere(token)
    if (living.length > kept) await revoke(living.shift()!)
  }

  async function revoke(token: Token): Promise<void> {
    await run.revoke(pick(replicas), token)
    if (revoked.push(token) > kept) revoked.shift()
  }

  /** What the old secret was is over like a revoked token; the new one lives on. */
  async function rotate(token: Token): Promise<void> {
    const heir = await run.rotate(pick(replicas), token)
    if (!heir) return
    if (revoked.push(token) > kept) revoked.shift()
    await everywhere(heir)
    living.push(heir)
  }

  /** Off and on again, with a look between. */
  async function blink({ subject, ...token }: Token): Promise<void> {
    await run.disable(pick(replicas), subject)
    await everywhere({ ...token, subject })
    await run.enable(pick(replicas), subject)
  }

  async function work(): Promise<void> {
    while (going) {
      await life()
      for (let looks = 0; looks < 4 && going; looks++) {
        const token = pick([...revoked, ...living])
        if (token) await run.introspect(pick(replicas), token)
        await pause()
      }
    }
  }

  const working = Array.from({ length: workers }, work)
  return {
    async stop() {
      going = false
      await Promise.all(working)
    },
  }
}
