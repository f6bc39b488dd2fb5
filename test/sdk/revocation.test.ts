// What @latchkey/sdk promises about revoked tokens, with its memory in use: refused as soon as word gets through, and one
// lease later at most when it does not. For each guard there is a verifier that lacks it, and is caught.
import t, { type Test } from 'tap'
import type { Fence } from '../../packages/sdk/src/fence.ts'
import type { VerifierOptions } from '../../packages/sdk/src/index.ts'
import type { Guards } from '../../packages/sdk/src/recall.ts'
import { verifierWith } from '../../packages/sdk/src/verifier.ts'
import { provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { putBetween, remembered, until } from './between.ts'

const leaseMs = 2_000
const unharmed: Guards = { lease: (made) => made, fence: (made) => made }
const noLease: Guards = { ...unharmed, lease: (made) => ({ ...made, lengthMs: leaseMs, holds: () => true }) }
const noFence: Guards = { ...unharmed, fence: (made) => ({ ...made, admits: () => true }) }

t.test('a revoked token and a verifier that remembers it', async (t) => {
  const latchkey = await startLatchkey(t, 'pglite')
  const posts = await registerPosts(latchkey)
  // They wait for leases, each of its own.
  t.jobs = 12
  let owners = 0

  async function setUp(t: Test, guards: Guards = unharmed, more: Partial<VerifierOptions> = {}) {
    const between = await putBetween(t, latchkey.url)
    const heard = { resets: 0, tokens: new Set<string>() }
    const fence = (made: Fence) => counting(guards.fence(made), heard)
    const verifier = verifierWith(
      {
        url: between.url,
        clientId: posts.id,
        clientSecret: posts.secret,
        now: () => latchkey.clock.now,
        ...more,
      },
      { ...guards, fence },
    )
    t.teardown(verifier.close)
    const token = await provision(latchkey, { subject: `owner_${++owners}` })
    const active = async () => (await verifier.verify(token.token)).active
    const revoke = async () => {
      const { status } = await latchkey.call('DELETE', `/api/v1/tokens/${token.id}`)
      t.equal(status, 200, 'acknowledged')
    }
    const remember = () => remembered(verifier, between, token.token)
    return { between, verifier, token, active, revoke, remember, heard }
  }

  t.test('is refused as soon as the word is through, long before the memory of it ends', async (t) => {
    const { active, revoke, remember } = await setUp(t)
    await remember()
    await revoke()
    const took = await until(async () => !(await active()), leaseMs, 1)
    t.comment(`refused ${took.toFixed(1)} ms after the acknowledgement`)
    t.ok(took < leaseMs)
  })

  t.test('so it is when it is narrowed, or its subject disabled', async (t) => {
    const { verifier, token, active, remember } = await setUp(t)
    await remember()
    await latchkey.call('PATCH', `/api/v1/tokens/${token.id}`, { scopes: [] })
    const may = async () => (await verifier.verify(token.token, { scopes: ['posts:read'] })).active
    await until(async () => !(await may()), leaseMs, 1)
    t.ok(await active(), 'it is good for what is left')
    await remember()
    await latchkey.call('PATCH', `/api/v1/subjects/${token.subject}`, { disabled: true })
    await until(async () => !(await active()), leaseMs, 1)
    await latchkey.call('PATCH', `/api/v1/subjects/${token.subject}`, { disabled: false })
    await until(active, leaseMs, 1)
    t.pass('and let in again when that is over')
  })

  const heldStream = async (t: Test, guards: Guards) => {
    const { between, active, revoke, remember } = await setUp(t, guards)
    await remember()
    between.holdStream()
    await revoke()
    const begin = performance.now()
    let latest = Number.NEGATIVE_INFINITY
    await until(async () => {
      if (await active()) latest = performance.now() - begin
      return performance.now() - begin > leaseMs + 700
    })
    return latest
  }

  t.test('is refused one lease after a revoke of which no word gets through', async (t) => {
    const latest = await heldStream(t, unharmed)
    t.comment(`let in until ${latest.toFixed()} ms after the acknowledgement`)
    t.ok(latest < leaseMs)
  })

  t.test('(without the lease it would be let in for longer)', async (t) => {
    t.ok((await heldStream(t, noLease)) > leaseMs)
  })

  t.test('is refused at once while the stream is broken', async (t) => {
    const { between, active, revoke, remember } = await setUp(t)
    await remember()
    between.holdStream()
    between.cutStream()
    const asked = between.asked()
    await until(async () => (await active()) && between.asked() > asked, leaseMs / 2)
    t.ok(await active(), 'until then it is let in, by asking')
    await revoke()
    t.notOk(await active())
  })

  t.test('beats that were held up on the way bring no lease when they arrive at last', async (t) => {
    const { between, active, revoke, remember } = await setUp(t)
    await remember()
    between.holdStream()
    const asked = between.asked()
    await until(async () => (await active()) && between.asked() > asked)
    await revoke()
    t.notOk(await active())
    between.releaseStream()
    t.notOk(await active(), 'nor does anything come back into memory')
  })

  t.test('what was missed while the stream was cut is heard before memory is used again', async (t) => {
    const { between, active, revoke, remember } = await setUp(t)
    await remember()
    between.cutStream()
    await revoke()
    // That the stream is cut comes to the verifier as a message, too, and the revoke may be faster.
    await until(async () => !(await active()), leaseMs, 1)
    const resumed = () => between.all.findLast(({ path }) => path === '/api/v1/revocations')
    await until(() => resumed()?.headers['last-event-id'] !== undefined)
    t.notOk(await active())
  })

  const overtaken = async (t: Test, guards: Guards) => {
    const { between, verifier, token, active, revoke, remember, heard } = await setUp(t, guards)
    await remember()
    between.holdAnswers()
    const asked = between.asked()
    const early = verifier.verify(token.token, { fresh: true })
    await until(() => between.heldAnswers() > 0)
    t.equal(between.asked(), asked + 1)
    await revoke()
    await until(() => heard.tokens.has(token.id))
    between.releaseAnswers()
    t.ok((await early).active, 'it was good when it was asked for')
    return active()
  }

  t.test('an answer that a revoke overtook does not enter memory', async (t) => {
    t.notOk(await overtaken(t, unharmed))
  })

  t.test('(without the fence it would)', async (t) => {
    t.ok(await overtaken(t, noFence))
  })

  /** Revoked, while questions go to a replica that hears of it as late as a replica can. */
  const lateReplica = async (t: Test, guards: Guards) => {
    let old: string | undefined
    let deafUntil = Number.NEGATIVE_INFINITY
    const ask: typeof fetch = async (...request) => {
      if (performance.now() < deafUntil) return new Response(old)
      const response = await fetch(...request)
      old = await response.clone().text()
      return response
    }
    const { active, revoke, remember } = await setUp(t, guards, { fetch: ask })
    await remember()
    deafUntil = performance.now() + leaseMs - 100
    await revoke()
    await until(async () => {
      await active()
      return performance.now() >= deafUntil
    })
    return active()
  }

  t.test('what a replica says that has not heard of a revoke yet does not enter memory', async (t) => {
    t.notOk(await lateReplica(t, unharmed))
  })

  t.test('(without the fence it would, too)', async (t) => {
    t.ok(await lateReplica(t, noFence))
  })

  /** By which the two are asked at practically the same time. */
  const slow = () => performance.now() / 1_000

  t.test('who asks after a revoke does not share the answer of who asked before', async (t) => {
    const { between, token, active, revoke, heard } = await setUp(t, unharmed, { monotonic: slow })
    between.holdAnswers()
    const early = active()
    await until(() => between.heldAnswers() > 0 && heard.resets > 0)
    await revoke()
    await until(() => heard.tokens.has(token.id), 15_000, 1)
    const late = active()
    await until(() => between.heldAnswers() > 1)
    between.releaseAnswers()
    t.strictSame([await early, await late], [true, false])
  })
})

/** The fence, and a record of what it heard. */
function counting(made: Fence, heard: { resets: number; tokens: Set<string> }): Fence {
  return {
    ...made,
    raise(what) {
      made.raise(what)
      for (const id of what.tokens) heard.tokens.add(id)
    },
    raiseAll() {
      made.raiseAll()
      heard.resets += 1
    },
  }
}
